"""Changing a fleet's keys: extend, rotate, retire, revoke. What each means for the ring is ``pkgbuild.rotation``'s.

Each may be done again at any time, also after a run that was cut off. ``say`` hears what the run waits for.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pkgbuild import fleet_keys, keyring_upkeep, keys, rotation, signed_by
from pkgbuild.aptly import Aptly
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.ring import SIGNS_REPOSITORY, TRUSTED, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from pkgbuild.config import Settings
    from pkgbuild.fleet_keys import FleetKeys

    Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Revoked:
    """What came of revoking a key."""

    words: str
    """What was done, and what comes next."""
    anew: dict[str, list[str]]
    """By channel the releases to be made anew, as ``NAME VERSION``; empty for an archive key."""
    unknown: str | None = None
    """Why that could not be found out."""


def extend(settings: Settings, role: Role, years: int | None, say: Say) -> dict[str, str | None]:
    """Make the keys in use good for so many years from now (None: as long as a new key); their ends by fingerprint.

    Raises ``MISSING_KEY``.
    """
    with fleet_keys.opened(settings, say) as fleet:
        mine = {key.fingerprint for key in keys.listed(fleet.homes[role])}
        used = [key for key in fleet.ring.of(role, (TRUSTED | SIGNS_REPOSITORY) - {State.REVOKED}) if key in mine]
        for fingerprint in used:
            keys.extend(fleet.key(role, fingerprint), years or keys.LIFETIME_YEARS[role])
        ends = fleet.expiry(role)
        return {fingerprint: ends[fingerprint] for fingerprint in used}


def rotate(settings: Settings, role: Role, say: Say) -> str:
    """Have a new key take the place of the present one; returns what was done and comes next. Raises ``BAD_INPUT``."""
    with fleet_keys.opened(settings, say) as fleet:
        if role is Role.ARCHIVE:
            fresh = None if fleet.ring.of(role, {State.OLD}) else fleet.make(role)
            changed, words = rotation.rotate_archive(fleet.ring, fresh)
            # both sign before the ring names the new one alone: see fleet_keys.settle
            fleet.sign_repository_with(changed.of(role, SIGNS_REPOSITORY))
        else:
            fresh = _successor(fleet, role)
            channels = _channels(settings) if fresh is None else {}
            changed, words = rotation.rotate_builder(fleet.ring, fresh, channels)
        fleet.save(changed)
        return words


def retire(settings: Settings, role: Role, offline: timedelta, say: Say) -> str:
    """Drop the key from before a rotation; ``offline``: for how long a device may have been off (archive key).

    Raises ``BAD_INPUT`` where devices need the key still.
    """
    with fleet_keys.opened(settings, say) as fleet:
        if role is Role.ARCHIVE:
            changed, words = rotation.retire_archive(fleet.ring, _channels(settings), offline, datetime.now(UTC))
        else:
            found = [signed for each in signed_by.in_use(settings).values() for signed in each]
            needed = {f"{signed.package} {signed.version}": signed.key for signed in found}
            changed, words = rotation.retire_builder(fleet.ring, _channels(settings), needed)
        fleet.save(changed)
        fleet.settle()
        return words


def revoke(settings: Settings, role: Role, named: str | None, say: Say) -> Revoked:
    """Have devices trust a key no more: the one whose fingerprint ends with ``named``, the present one without a name.

    Raises ``BAD_INPUT`` where the name fits none or several.
    """
    with fleet_keys.opened(settings, say) as fleet:
        chosen = _chosen(fleet, role, named)
        fresh = _successor(fleet, role) if fleet.ring.state(role, chosen) is State.CURRENT else None
        changed, words = rotation.revoke(fleet.ring, role, chosen, fresh)
        if role is Role.ARCHIVE:
            fleet.sign_repository_with(changed.of(role, SIGNS_REPOSITORY))
        fleet.save(changed)
    if role is Role.ARCHIVE:
        return Revoked(words, {})
    try:
        found = signed_by.in_use(settings)
    except PkgbuildError as error:
        return Revoked(words, {}, str(error))
    anew = {channel: signed_by.to_release_anew(signed, chosen) for channel, signed in sorted(found.items())}
    return Revoked(words, anew)


def _successor(fleet: FleetKeys, role: Role) -> str | None:
    """A key that was just made, or None where one waits already. Raises ``MISSING_KEY`` where that cannot sign here."""
    if waiting := fleet.ring.of(role, {State.NEXT}):
        fleet.require_secret(role, waiting[0])
        return None
    return fleet.make(role)


def _chosen(fleet: FleetKeys, role: Role, named: str | None) -> str:
    """The key that is meant. Without a name the present one, unless one is revoked already: done twice is done once."""
    if named is None:
        revoked = fleet.ring.of(role, {State.REVOKED})
        if revoked:
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{revoked[-1]} is revoked already. To revoke {fleet.ring.current(role)} as well, name it.",
            )
        return fleet.ring.current(role)
    ending = named.upper().replace(" ", "")
    found = [entry for entry in fleet.ring.entries[role] if entry.fingerprint.endswith(ending)]
    if len(found) != 1 or not ending:
        raise PkgbuildError(Kind.BAD_INPUT, f"{named!r} names no {role.value} key: `pkgbuild keys show` lists them.")
    return found[0].fingerprint


def _channels(settings: Settings) -> rotation.Channels:
    with closing(Aptly.of(settings)) as aptly:
        return keyring_upkeep.channels(settings, aptly)
