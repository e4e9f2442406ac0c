"""Telling in time that a key is about to expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pkgbuild import fleet_keys, keys, ring_file
from pkgbuild.ring import SIGNS_REPOSITORY, TRUSTED, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pkgbuild.config import Settings
    from pkgbuild.keys import Listed, Listing

AHEAD = timedelta(days=60)


def warnings(settings: Settings, now: datetime | None = None, listing: Listing | None = None) -> list[str]:
    """A sentence for each key in use that expires within ``AHEAD``, or has expired; of homes that are here."""
    now = now or datetime.now(UTC)
    ring = ring_file.load(settings.state)
    found = []
    for role, home in fleet_keys.homes_of(settings).items():
        in_use = None if ring is None else set(ring.of(role, TRUSTED | SIGNS_REPOSITORY))
        listed = [key for key in (listing or keys.listed)(home) if in_use is None or key.fingerprint in in_use]
        found += sentences(role, listed, now)
    return found


def sentences(role: Role, listed: Iterable[Listed], now: datetime) -> list[str]:
    """The sentences for keys of one role; pure."""
    said = []
    for key in listed:
        if key.expires is None or key.expires - now > AHEAD:
            continue
        if key.expires <= now:
            words = f"expired on {key.expires:%Y-%m-%d}"
        else:
            words = f"expires on {key.expires:%Y-%m-%d}, in {(key.expires - now).days} days"
        after = " Devices refuse the repository from then on." if role is Role.ARCHIVE else ""
        said.append(
            f"The {role.value} key {key.fingerprint} {words}.{after} Run `pkgbuild keys extend {role.value}` and"
            " `pkgbuild keys publish`."
        )
    return said
