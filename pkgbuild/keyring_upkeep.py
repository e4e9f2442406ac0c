"""Having the keyring package that the ring asks for: built, kept, and on every channel."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pkgbuild import agent, keyring, resign, ring, versions
from pkgbuild.aptly import Aptly, repository_name
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.fleet_keys import TIME
from pkgbuild.progress import Progress
from pkgbuild.ring import Keyring, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from pkgbuild.config import Settings
    from pkgbuild.fleet_keys import FleetKeys
    from pkgbuild.rotation import Channels


def kept(fleet: FleetKeys, version: str) -> Path:
    """Where a version of the package is kept: a channel that is made later needs the same bytes."""
    return fleet.state / f"keys/packages/{keyring.PACKAGE}_{version}_all.deb"


def bring(
    fleet: FleetKeys, *, version: str | None = None, taken: frozenset[str] = frozenset(), by_hand: bool = False
) -> list[Path]:
    """Build what is missing until the newest version says what the ring says; returns the versions that lead there.

    ``version`` is for the last one, else they count up by themselves, above those ``taken`` elsewhere. ``by_hand``: the
    present key signs, whatever devices trust. Raises ``MISSING_KEY`` where no key that devices trust can sign.
    """
    wanted = _wanted(fleet, fleet.ring.trusted(Role.BUILDER))
    newest = fleet.ring.keyrings[-1] if fleet.ring.keyrings else None
    same = newest is not None and (newest.keys, newest.allowed) == (wanted, fleet.allowed)
    if newest and same and version in {None, newest.version} and kept(fleet, newest.version).exists():
        return [kept(fleet, newest.version)]
    order, trusted = fleet.ring.of(Role.BUILDER), fleet.ring.trusted(Role.BUILDER)
    steps = ring.steps(fleet.ring.base, trusted, order, fleet.able(Role.BUILDER))
    if by_hand:
        steps = [ring.Step(trusted, fleet.ring.current(Role.BUILDER))]
    if not steps:
        raise PkgbuildError(
            Kind.MISSING_KEY,
            f"No builder key that devices trust can sign here ({', '.join(sorted(fleet.ring.base))}): restore it from"
            " your backup. Where there is none, devices have to be visited with what `pkgbuild keys package --by-hand`"
            " builds (docs/KEYS.md).",
        )
    made = []
    for step in steps:
        chosen = version if version and step is steps[-1] else _next(fleet, taken)
        made.append(_make(fleet, step, chosen))
    return made


def _wanted(fleet: FleetKeys, builders: tuple[str, ...]) -> Mapping[Role, Mapping[str, str | None]]:
    named = {Role.BUILDER: builders, Role.ARCHIVE: fleet.ring.trusted(Role.ARCHIVE)}
    return {role: {key: fleet.until(role, key) for key in named[role]} for role in Role}


def _next(fleet: FleetKeys, taken: frozenset[str]) -> str:
    top = versions.highest({known.version for known in fleet.ring.keyrings} | taken)
    leading = re.match(r"\d+", top) if top else None
    return str(int(leading[0]) + 1) if leading else "1"


def _make(fleet: FleetKeys, step: ring.Step, version: str) -> Path:
    wanted = _wanted(fleet, step.builders)
    content = keyring.Content(
        builders=[fleet.key(Role.BUILDER, fingerprint) for fingerprint in step.builders],
        archives=[fleet.key(Role.ARCHIVE, fingerprint) for fingerprint in wanted[Role.ARCHIVE]],
        signer=fleet.key(Role.BUILDER, step.signed_by),
        expiry={fingerprint: until for keys in wanted.values() for fingerprint, until in keys.items()},
        allowed=fleet.allowed,
    )
    path = kept(fleet, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=path.parent) as folder:
        keyring.build(content, version, path.parent / folder).path.replace(path)
    fleet.save(fleet.ring.with_keyring(Keyring(version, wanted, step.signed_by, allowed=fleet.allowed)))
    return path


def channels(settings: Settings, aptly: Aptly) -> Channels:
    """The versions of the package on each channel that is published, counting those that all Debian releases have."""
    found: dict[str, list[frozenset[str]]] = {}
    ours = {target.debian for target in settings.targets}
    for prefix, distribution, _ in aptly.published():
        if prefix in ours:
            listed = aptly.packages(repository_name(prefix, distribution), [keyring.PACKAGE])
            found.setdefault(distribution, []).append(frozenset(package.version for package in listed))
    return {name: frozenset.intersection(*sets) for name, sets in found.items()}


def publish(settings: Settings, fleet: FleetKeys, clock: Callable[[], datetime]) -> dict[str, Any]:
    """Bring what the ring says to every channel, and have all of them signed by the keys that it names.

    Raises ``PkgbuildError``; what is done by then stays done, and the next run goes on.
    """
    with closing(Aptly.of(settings)) as aptly:
        present = channels(settings, aptly) or {settings.channel(None): frozenset[str]()}
        bring(fleet, taken=frozenset().union(*present.values()))
        done = []
        for channel in sorted(present):
            for version in _lacking(fleet, present[channel]):
                path = kept(fleet, version)
                if not path.exists():
                    raise PkgbuildError(Kind.BAD_INPUT, f"{path} is missing: restore it from your backup.")
                agent.publish(settings, path, channel, Progress(agent.STEPS))
                done.append({"version": version, "channel": channel})
            now = clock().strftime(TIME)
            carried = present[channel] | {row["version"] for row in done if row["channel"] == channel}
            ring_now = fleet.ring
            for version in carried:
                ring_now = ring_now.noted(version, channel, now)
            if ring_now != fleet.ring:
                fleet.save(ring_now)
        if not done:
            resign.resign(settings, lambda _words: None)
    return {"version": fleet.ring.keyrings[-1].version, "published": done, "channels": sorted(present)}


def _lacking(fleet: FleetKeys, present: frozenset[str]) -> list[str]:
    """Recorded versions above what the channel has, lowest first: a device goes from each to the next."""
    top = versions.highest(present)
    known = [k.version for k in fleet.ring.keyrings if top is None or versions.compare(k.version, top) > 0]
    return sorted(known, key=versions.order)


def note(fleet: FleetKeys, version: str, channel: str, now: datetime) -> None:
    """A keyring package was published by its file."""
    if (ring_now := fleet.ring.noted(version, channel, now.strftime(TIME))) != fleet.ring:
        fleet.save(ring_now)


def copy(paths: list[Path], folder: Path) -> list[Path]:
    """Put packages where somebody asked for them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [folder / shutil.copyfile(path, folder / path.name).name for path in paths]
