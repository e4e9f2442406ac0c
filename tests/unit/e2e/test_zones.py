"""The zones of the end-to-end tests: zic and Python's zoneinfo agree on what their walls show."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pi_hook.window import window_of
from tests.e2e.zones import TestZone, gap, noon, repeated_hour, two_am

INSTANTS = [
    datetime(2026, 11, 24, 17, 8, 31, 5, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 0, 0, tzinfo=UTC),
    datetime(2028, 2, 29, 13, 59, 1, tzinfo=UTC),
    datetime(2027, 6, 1, 2, 0, 0, tzinfo=UTC),
]
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("then", INSTANTS, ids=str)
@pytest.mark.parametrize(
    ("make", "before", "after"),
    [(two_am, "01:59:59", "02:00:00"), (gap, "01:59:59", "03:00:00"), (repeated_hour, "02:59:59", "02:00:00")],
)
def test_the_wall_shows_it(
    tmp_path: Path, then: datetime, make: Callable[[str, datetime], TestZone], before: str, after: str
) -> None:
    made = make("Test/Zone", then)
    zone = ZoneInfo.from_file(io.BytesIO(made.compiled(tmp_path)))
    assert abs(made.then - then) < SECOND
    shown = [instant.astimezone(zone).strftime("%H:%M:%S") for instant in (made.then - SECOND, made.then)]
    assert shown == [before, after]
    assert (made.then - SECOND).astimezone(zone).date() == made.then.astimezone(zone).date()


def test_of_a_repeated_hour_the_window_is_the_first(tmp_path: Path) -> None:
    made = repeated_hour("Test/Zone", INSTANTS[0])
    zone = ZoneInfo.from_file(io.BytesIO(made.compiled(tmp_path)))
    window = window_of(made.then.astimezone(zone).date(), zone, time(2), time(2, 59))
    assert window is not None
    assert (window.opens, window.closes) == (made.then - timedelta(hours=1), made.then - timedelta(minutes=1))


def test_noon_is_a_zone_in_which_it_is_noon() -> None:
    hour = datetime.now(ZoneInfo(noon())).hour
    assert 11 <= hour <= 13
