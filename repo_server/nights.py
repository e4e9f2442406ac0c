"""When a device's nightly window opens, as the device itself works it out. Pure.

The rules are those of DESIGN.md, "The gate", and of ``pi_hook.window``, with which this shares no code: a test compares
the two in every zone. The server does not know a device's own settings, so it goes by the defaults: 02:00 to 04:00.
"""

from __future__ import annotations

import hashlib
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

_START, _END = time(2), time(4)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def zone(name: str) -> tzinfo | None:
    """The zone of this name; None where this machine does not know it (the device may)."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def earliest(not_before: datetime, zone: tzinfo, device_id: str) -> datetime:
    """The first instant from ``not_before`` on, in UTC, at which the window lets this device start."""
    day = not_before.astimezone(zone).date() - 2 * _DAY
    while True:
        window = _window(day, zone)
        if window is not None and window[1] > not_before:
            return max(not_before.astimezone(UTC), window[0] + _offset(device_id, window[1] - window[0]))
        day += _DAY


def _offset(device_id: str, length: timedelta) -> timedelta:
    """The device's share of the first half of the window, so that a fleet does not start as one."""
    fraction = int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8], "big")
    return timedelta(microseconds=length // timedelta(microseconds=2) * fraction >> 64)


@lru_cache(maxsize=4096)
def _window(day: date, zone: tzinfo) -> tuple[datetime, datetime] | None:
    """When the window of a local date opens and closes; None for a date that the zone never had."""
    if _first(datetime.combine(day, time()), zone).astimezone(zone).date() != day:
        return None
    opens = _first(datetime.combine(day, _START), zone)
    closes = _first(datetime.combine(day, _END), zone)
    if closes <= opens:  # one gap swallowed both
        closes = opens + (datetime.combine(day, _END) - datetime.combine(day, _START))
    return opens, closes


def _first(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant whose wall time is at or past ``wall``; the end of the gap where the clocks jump over it."""
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _shown(after, zone) == wall:
        return after
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while after - before > _SECOND:  # clocks change at whole seconds
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        before, after = (before, middle) if _shown(middle, zone) >= wall else (middle, after)
    return after


def _shown(instant: datetime, zone: tzinfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)
