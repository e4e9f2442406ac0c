"""The nightly window of a local date in any IANA zone: pure arithmetic, by the rule in DESIGN.md, "The gate".

The rule, with wall time as what calendar and clock on the wall show:

* the window of date D opens at the first instant whose wall time is at or past the start on D; a gap (clocks go
  forward) that swallows the start therefore moves it to the end of the gap;
* it closes at the first later instant whose wall time is at or past the end, on D+1 where ``end <= start``;
* where a gap swallows all of it, it stays open for its nominal length from the end of the gap;
* of an hour that happens twice (clocks go back) the first one counts, so nothing opens twice;
* a date that a zone never had (Apia, 2011-12-30) has no window; every other date has exactly one.

Nothing here scans: a gap is found from the two readings that ``zoneinfo`` gives for a wall time, its end by bisection.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """One night's window: half-open, ``opens <= t < closes``, both aware and in UTC."""

    day: date
    """The local date it belongs to."""
    opens: datetime
    closes: datetime

    def starts_for(self, device_id: str | None) -> datetime:
        """The instant at which this device may start: ``opens`` plus its own stable offset (0 without an id)."""
        return self.opens + device_offset(device_id, self.closes - self.opens)


def device_offset(device_id: str | None, length: timedelta) -> timedelta:
    """The device's share of the first half of a window of this actual length.

    The first 8 bytes of sha256(device id) are read as a fraction (big-endian), so that a fleet spreads evenly.
    """
    if device_id is None:
        return timedelta(0)
    fraction = int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8], "big")
    half_microseconds = length // timedelta(microseconds=2)
    return timedelta(microseconds=half_microseconds * fraction >> 64)


def window_of(day: date, zone: tzinfo, start: time, end: time) -> Window | None:
    """The window of a local date, or None for a date that the zone never had.

    Raises ``OverflowError`` within days of the years 1 and 9999.
    """
    if not _exists(day, zone):
        return None
    wall_start = datetime.combine(day, start)
    wall_end = datetime.combine(day if end > start else day + _DAY, end)
    opens = first_instant(wall_start, zone)
    closes = first_instant(wall_end, zone)
    if closes <= opens:  # one gap swallowed both
        closes = opens + (wall_end - wall_start)
    return Window(day, opens, closes)


def windows_from(now: datetime, zone: tzinfo, start: time, end: time) -> Iterator[Window]:
    """The windows that close after ``now``, in order, without end; the first may be open already."""
    # A window reaches at most into the next day, and going back over midnight can repeat a date.
    day = wall_time(now, zone).date() - 3 * _DAY
    while True:
        window = window_of(day, zone, start, end)
        if window is not None and window.closes > now:
            yield window
        day += _DAY


def first_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant (UTC) whose wall time is at or past a naive wall time."""
    # fold=0 is the first of two readings, and in a gap the offset before it: an instant at or past the gap's end.
    late = _from_wall(wall, zone, fold=0)
    if wall_time(late, zone) == wall:
        return late
    early = _from_wall(wall, zone, fold=1)  # in a gap: with the offset after it, so before the gap
    return _bisect(early, late, wall, zone)


def wall_time(instant: datetime, zone: tzinfo) -> datetime:
    """What the wall shows at an instant, naive."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _bisect(before: datetime, after: datetime, wall: datetime, zone: tzinfo) -> datetime:
    """The first whole second in ``(before, after]`` whose wall time is at or past ``wall``.

    Whole seconds, because transitions fall on them.
    """
    before = before.replace(microsecond=0)
    after = after.replace(microsecond=0) + (_SECOND if after.microsecond else timedelta(0))
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if wall_time(middle, zone) >= wall:
            after = middle
        else:
            before = middle
    return after


def _from_wall(wall: datetime, zone: tzinfo, *, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _exists(day: date, zone: tzinfo) -> bool:
    """Whether any instant has this local date: it has none where its first instant already shows a later date."""
    return wall_time(first_instant(datetime.combine(day, time()), zone), zone).date() == day
