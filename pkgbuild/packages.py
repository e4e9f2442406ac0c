"""Publishing ready .deb files apart from any release: nobody has to grant them, devices take them at night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pkgbuild import keyring, keys, ready, session, versions
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.publisher import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgbuild.config import Settings
    from pkgbuild.deb import BuiltDeb
    from pkgbuild.progress import Progress
    from pkgbuild.publisher import Publisher
    from pkgbuild.ready import ReadyDeb

STEPS = 2


def publish(
    settings: Settings,
    debs: Sequence[ReadyDeb],
    channel: str,
    progress: Progress,
    *,
    debians: Sequence[str] = (),
    again: bool = True,
) -> dict[str, Any]:
    """Sign and publish files for some Debian releases, all of the settings' without any named.

    The same file goes from one channel to another as the very same bytes. Unless ``again``, one that is on the channel
    already is refused as any version that is not higher. Raises ``PkgbuildError``; then nothing has changed.
    """
    known = sorted({target.debian for target in settings.targets})
    chosen = sorted(set(debians)) or known
    if unknown := sorted(set(chosen) - set(known)):
        raise PkgbuildError(Kind.BAD_INPUT, f"The settings have no target of {unknown[0]}: use {', '.join(known)}.")
    with session.signing(settings, "packages-", progress) as opened:
        progress.step(f"signing {', '.join(one.path.name for one in debs)}")
        signer = opened.signer("packages").lasting()
        # a keyring package may be signed by a key before this one, or after it, and stays so
        home = settings.builder_home
        others = [keys.Key(home, known.fingerprint) for known in keys.listed(home)]
        built = [
            ready.signed(one, signer, opened.work, others if one.package == keyring.PACKAGE else ()) for one in debs
        ]
        publisher = opened.publisher(channel)
        with opened.locked():
            progress.step(f"publishing on {channel} ({', '.join(chosen)})")
            publisher.check_can_sign()
            parts = [_part(publisher, built, debian, channel, again=again) for debian in chosen]
            publisher.check_room(parts)
            title = ", ".join(f"{one.package} {one.fields.version}" for one in debs)
            snapshots = publisher.publish(parts, title, lambda: None)
    return {
        "packages": [{"package": one.package, "version": one.fields.version} for one in debs],
        "channel": channel,
        "debians": chosen,
        "snapshots": snapshots,
    }


def _part(publisher: Publisher, built: Sequence[BuiltDeb], debian: str, channel: str, *, again: bool) -> Part:
    new, reused = [], []
    for one in built:
        fields = one.fields
        if not again:
            published = publisher.published_versions(fields.package, debian)
            versions.check_higher(fields.package, fields.version, published, f"{channel} of {debian}")
        listed = publisher.find_ready(one, debian)
        if listed is None:
            new.append(one)
        else:
            reused.append(listed)
    return Part(debian, built=tuple(new), reused=tuple(reused))
