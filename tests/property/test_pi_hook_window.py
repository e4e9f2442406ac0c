"""The window's rule against every zone: checked at and around each zone's transitions with a scan as the oracle."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_hook.window import device_offset, first_instant, wall_time, window_of, windows_from
from tests.support.zones import BEHAVIOURS, WITH_TRANSITIONS, ZONES, transitions

MINUTE = timedelta(minutes=1)


def scanned(wall: datetime, zone: ZoneInfo, step: timedelta = MINUTE) -> datetime:
    """The first instant whose wall time is at or past this one, by looking at every minute of two days."""
    at = wall.replace(tzinfo=UTC) - timedelta(hours=40)
    assert wall_time(at, zone) < wall
    while wall_time(at, zone) < wall:
        at += step
    return at


WALLS = st.times().map(lambda t: t.replace(second=0, microsecond=0))


def test_there_are_zones_to_test() -> None:
    assert len(ZONES) > 400
    assert len(WITH_TRANSITIONS) > 30
    assert sum(len(BEHAVIOURS[name]) for name in WITH_TRANSITIONS) > 100


@pytest.mark.parametrize("name", WITH_TRANSITIONS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), start=WALLS, end=WALLS)
def test_at_transitions_the_window_is_what_a_scan_finds(name: str, data: st.DataObject, start: time, end: time) -> None:
    zone = ZoneInfo(name)
    around = data.draw(st.sampled_from(transitions(name)))
    day = wall_time(around, zone).date() + timedelta(days=data.draw(st.integers(-1, 1)))
    window = window_of(day, zone, start, end)
    assert window is not None
    wall_end = datetime.combine(day if end > start else day + timedelta(days=1), end)
    assert window.opens == scanned(datetime.combine(day, start), zone)
    closes = scanned(wall_end, zone)
    if closes > window.opens:
        assert window.closes == closes
    else:
        assert window.closes - window.opens == wall_end - datetime.combine(day, start)


@pytest.mark.parametrize(("start", "end"), [(time(2), time(4)), (time(0), time(0, 30)), (time(23, 15), time(0, 45))])
def test_every_local_day_of_five_years_has_exactly_one_window_in_every_zone(start: time, end: time) -> None:
    for name in WITH_TRANSITIONS:
        zone = ZoneInfo(name)
        for around in transitions(name):
            at = around - timedelta(days=3)
            seen = []
            for window in windows_from(at, zone, start, end):
                if window.opens > around + timedelta(days=3):
                    break
                seen.append(window)
            days = [window.day for window in seen]
            assert days == [days[0] + timedelta(days=n) for n in range(len(days))], name
            assert all(a.closes <= b.opens for a, b in pairwise(seen)), name
            assert all(window.opens < window.closes for window in seen), name


def naive(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    now=st.integers(-631_152_000, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    start=WALLS,
    end=WALLS,
)
@settings(max_examples=300, deadline=None)
def test_the_next_window_closes_later_and_no_earlier_one_does(
    zone: ZoneInfo, now: datetime, start: time, end: time
) -> None:
    window = next(windows_from(now, zone, start, end))
    assert window.closes > now
    earlier = window_of(window.day - timedelta(days=1), zone, start, end)
    assert earlier is None or earlier.closes <= now


@given(zone=st.sampled_from(ZONES).map(ZoneInfo), wall=st.integers(31_536_000, 2_145_830_400).map(naive))
@settings(max_examples=300, deadline=None)
def test_the_first_instant_is_at_or_past_the_wall_time_and_the_one_before_is_not(
    zone: ZoneInfo, wall: datetime
) -> None:
    instant = first_instant(wall, zone)
    assert wall_time(instant, zone) >= wall
    assert wall_time(instant - timedelta(seconds=1), zone) < wall


@pytest.mark.parametrize(
    ("zone", "day", "start", "end", "opens", "closes"),
    [
        ("Europe/Berlin", date(2026, 3, 28), "02:00", "04:00", "2026-03-28T01:00Z", "2026-03-28T03:00Z"),
        # A gap swallows the start, the end, all of it.
        ("Europe/Berlin", date(2026, 3, 29), "02:00", "04:00", "2026-03-29T01:00Z", "2026-03-29T02:00Z"),
        ("Europe/Berlin", date(2026, 3, 29), "01:30", "02:30", "2026-03-29T00:30Z", "2026-03-29T01:00Z"),
        ("Europe/Berlin", date(2026, 3, 29), "02:10", "02:40", "2026-03-29T01:00Z", "2026-03-29T01:30Z"),
        ("Europe/Berlin", date(2026, 3, 29), "02:00", "03:00", "2026-03-29T01:00Z", "2026-03-29T02:00Z"),
        # The hour from two to three comes twice: the window is longer, and what lies in it once stays so.
        ("Europe/Berlin", date(2026, 10, 25), "02:00", "04:00", "2026-10-25T00:00Z", "2026-10-25T03:00Z"),
        ("Europe/Berlin", date(2026, 10, 25), "02:30", "02:45", "2026-10-25T00:30Z", "2026-10-25T00:45Z"),
        # Half an hour and 45 minutes.
        ("Australia/Lord_Howe", date(2026, 10, 4), "02:00", "04:00", "2026-10-03T15:30Z", "2026-10-03T17:00Z"),
        ("Asia/Kathmandu", date(2026, 1, 1), "02:00", "04:00", "2025-12-31T20:15Z", "2025-12-31T22:15Z"),
        # Over midnight, and a gap that swallows the rest of the day.
        ("Europe/Berlin", date(2026, 1, 1), "23:00", "01:00", "2026-01-01T22:00Z", "2026-01-02T00:00Z"),
        ("America/Nuuk", date(2024, 3, 30), "23:15", "23:45", "2024-03-31T01:00Z", "2024-03-31T01:30Z"),
        ("Africa/Cairo", date(2026, 4, 24), "00:00", "02:00", "2026-04-23T22:00Z", "2026-04-23T23:00Z"),
        # The same start and end: a whole day.
        ("Etc/UTC", date(2026, 1, 1), "02:00", "02:00", "2026-01-01T02:00Z", "2026-01-02T02:00Z"),
    ],
)
def test_known_windows(zone: str, day: date, start: str, end: str, opens: str, closes: str) -> None:  # noqa: PLR0917  # a table
    window = window_of(day, ZoneInfo(zone), time.fromisoformat(start), time.fromisoformat(end))
    assert window is not None
    assert (window.opens, window.closes) == (datetime.fromisoformat(opens), datetime.fromisoformat(closes))


def test_a_day_that_a_zone_skipped_has_no_window() -> None:
    zone = ZoneInfo("Pacific/Apia")
    assert window_of(date(2011, 12, 30), zone, time(2), time(4)) is None
    windows = windows_from(datetime(2011, 12, 28, tzinfo=UTC), zone, time(2), time(4))
    days = [window.day.day for window in islice(windows, 3)]
    assert days == [28, 29, 31]


@given(device=st.uuids().map(str), minutes=st.integers(1, 1440))
def test_a_device_starts_in_the_first_half(device: str, minutes: int) -> None:
    length = timedelta(minutes=minutes)
    assert timedelta(0) <= device_offset(device, length) < length / 2
    assert device_offset(device, length) == device_offset(device, length)


def test_the_offset_is_the_hash_as_a_fraction_of_half_the_length() -> None:
    # sha256("a") begins ca978112ca1bbdca.
    wanted = 0xCA978112CA1BBDCA / 2**64 * 3600
    assert abs(device_offset("a", timedelta(hours=2)).total_seconds() - wanted) < 1e-5
    assert device_offset(None, timedelta(hours=2)) == timedelta(0)


def test_a_fleet_spreads_over_the_first_half() -> None:
    offsets = [device_offset(f"device-{n}", timedelta(hours=2)).total_seconds() for n in range(2000)]
    for quarter in range(4):
        assert 400 < sum(quarter * 900 <= o < (quarter + 1) * 900 for o in offsets) < 600
