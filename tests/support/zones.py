"""The IANA zones as behaviours: those that show the same time all through some years are looked at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from tests.support.campaign import CAMPAIGN

ZONES = sorted(name for name in available_timezones() if not name.startswith(("posix", "right")))
FIRST, LAST = (datetime(year, 1, 1, tzinfo=UTC) for year in ((2010, 2030) if CAMPAIGN else (2023, 2028)))
_STEP = timedelta(days=3)
_SECOND = timedelta(seconds=1)


def offset(zone: ZoneInfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


@cache
def transitions(name: str, first: datetime = FIRST, last: datetime = LAST) -> tuple[datetime, ...]:
    """The instants at which a zone's offset changes."""
    zone, found, at = ZoneInfo(name), [], first
    while at < last:
        if offset(zone, at) != offset(zone, at + _STEP):
            low, high = at, at + _STEP
            while high - low > _SECOND:
                middle = low + (high - low) // timedelta(seconds=2) * _SECOND
                low, high = (middle, high) if offset(zone, middle) == offset(zone, at) else (low, middle)
            found.append(high)
        at += _STEP
    return tuple(found)


def behaviours() -> dict[str, list[str]]:
    """One zone for each behaviour, and all the names that share it: the same offsets, changing at the same instants."""
    groups: dict[object, list[str]] = {}
    for name in ZONES:
        zone, changes = ZoneInfo(name), transitions(name)
        key = (offset(zone, FIRST), tuple((at, offset(zone, at)) for at in changes))
        groups.setdefault(key, []).append(name)
    return {names[0]: names for names in groups.values()}


BEHAVIOURS = behaviours()
WITH_TRANSITIONS = [name for name in BEHAVIOURS if transitions(name)]
