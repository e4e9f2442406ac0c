"""Publishing the packages that keep devices themselves up to date: the agent, and the fleet's keys."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from debian.debfile import DebError, DebFile

from pkgbuild import deb, keys, session, versions
from pkgbuild.control import PackageFields
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.publisher import Part
from pkgbuild.signing import Signer

if TYPE_CHECKING:
    from pathlib import Path

    from pkgbuild.aptly import Listed
    from pkgbuild.config import Settings
    from pkgbuild.deb import BuiltDeb
    from pkgbuild.progress import Progress
    from pkgbuild.publisher import Publisher

PACKAGES = ("pi-hook", "pi-ota-keyring")
"""What a device takes from the fleet's repository besides releases."""
STEPS = 2


def publish(settings: Settings, path: Path, channel: str, progress: Progress) -> dict[str, Any]:
    """Sign one of these packages and publish it for every Debian release of the settings; no one has to grant it.

    The same version goes from one channel to another as the very same bytes. Raises ``PkgbuildError``; then nothing has
    changed.
    """
    home = settings.resolve(settings.file.builder.gnupghome or "keys/builder")
    with keys.no_agent_left_behind(home), session.opened(settings, "agent-", progress.detail) as opened:
        progress.step(f"reading and signing {path.name}")
        key = keys.find(home, settings.file.builder.key, whose="builder")
        fields = _fields(path)
        signer = Signer(key, settings.state / "cache/signed" / key.fingerprint / f"{fields.package}_{fields.version}")
        built = _signed(path, fields, signer, opened.work)
        publisher = opened.publisher(channel)
        debians = sorted({target.debian for target in settings.targets})
        if not debians:
            raise PkgbuildError(Kind.BAD_INPUT, "The settings name no `targets`: say there which Debian releases.")
        with opened.locked():
            progress.step(f"publishing on {channel} ({', '.join(debians)})")
            publisher.check_can_sign()
            parts = [_part(publisher, built, debian, channel) for debian in debians]
            publisher.check_room(parts)
            snapshots = publisher.publish(parts, f"{fields.package} {fields.version}", lambda: None)
    return {
        "name": fields.package,
        "version": fields.version,
        "channel": channel,
        "debians": debians,
        "snapshots": snapshots,
    }


def _fields(path: Path) -> PackageFields:
    try:
        with DebFile(path) as file:
            control = file.debcontrol()
    except (DebError, OSError, ValueError, LookupError) as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} is not a readable Debian package: {error}") from error
    package = str(control.get("Package"))
    if package not in PACKAGES:
        raise PkgbuildError(
            Kind.BAD_INPUT, f"{path.name} is the package {package}; devices take {' and '.join(PACKAGES)} in this way."
        )
    version = versions.check_version(str(control.get("Version")))
    return PackageFields(package, version, str(control.get("Architecture")), depends=(), summary="", extended="")


def _signed(path: Path, fields: PackageFields, signer: Signer, folder: Path) -> BuiltDeb:
    """A signed copy; what was signed once stays as it was, since a version is never published with two contents."""
    copy = folder / fields.file_name
    shutil.copyfile(path, copy)
    try:
        signer.verify(copy)  # the keyring package comes signed
    except PkgbuildError:
        signer.sign(copy)
        signer.verify(copy)
    return deb.read_back(copy, fields)


def _part(publisher: Publisher, built: BuiltDeb, debian: str, channel: str) -> Part:
    fields = built.fields
    published = publisher.published_versions(fields.package, debian)
    versions.check_higher(fields.package, fields.version, published, f"{channel} of {debian}")
    listed = publisher.find(fields.package, fields.version, debian)
    if listed is None:
        return Part(debian, built=(built,), reused=())
    _check_same(listed, built)
    return Part(debian, built=(), reused=(listed,))


def _check_same(listed: Listed, built: BuiltDeb) -> None:
    if listed.sha256 != built.sha256:
        raise PkgbuildError(
            Kind.VERSION_NOT_HIGHER,
            f"{listed.package} {listed.version} is published on another channel with other content: a version is never"
            " used twice. Build it as a higher version.",
        )
