"""Numbers, sizes and times as they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server.desk import filters


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 byte"), (1, "1 byte"), (999, "999 byte"), (1000, "1 kB"), (84_900, "84.9 kB"), (999_960, "1 MB"),
     (1_500_000_000, "1.5 GB"), (5_000_000_000_000, "5,000 GB")],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    assert filters.size(count) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (11_520, "3 h 12 min"), (3_600, "1 h"),
     (3_601, "1 h"), (90_000, "1 d 1 h"), (timedelta(days=400, minutes=5), "400 d"), (-120, "2 min")],
)  # fmt: skip
def test_durations(length: float | timedelta, text: str) -> None:
    assert filters.duration(length) == text


@given(st.integers(min_value=0, max_value=10**15))
def test_a_size_is_never_written_as_a_thousand_of_a_smaller_unit(count: int) -> None:
    value, _, unit = filters.size(count).partition(" ")
    assert float(value.replace(",", "")) < 1000 or unit == "GB"


def test_a_moment_is_in_utc() -> None:
    at = datetime(2026, 11, 25, 3, 0, tzinfo=timezone(timedelta(hours=1)))
    assert filters.moment(at) == "25 Nov 2026, 02:00 UTC"
    assert filters.iso(at) == "2026-11-25T02:00:00Z"
    assert filters.number(12_345) == "12,345"
    assert filters.iso(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
