"""Online, late and lost, by missed heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from repo_server.presence import Presence, Tolerance

SEEN = st.integers(0, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TOLERANCE = st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(lambda two: Tolerance(min(two), max(two)))
INTERVAL = st.integers(1, 86_400)
SILENT = st.integers(0, 10_000_000)


@given(SEEN, TOLERANCE, INTERVAL, SILENT)
def test_what_counts_is_how_many_heartbeats_are_missing(
    seen: datetime, tolerance: Tolerance, interval: int, silent: int
) -> None:
    missed = (silent - 1) // interval  # one that comes in the second in which it is due is in time
    expected = (
        Presence.LOST if missed >= tolerance.lost else Presence.LATE if missed >= tolerance.late else Presence.ONLINE
    )
    now = seen + timedelta(seconds=silent)
    assert tolerance.after_heartbeat(seen, interval).presence(now) is expected


@given(SEEN, TOLERANCE, INTERVAL, SILENT, SILENT)
def test_silence_makes_it_only_worse(
    seen: datetime, tolerance: Tolerance, interval: int, first: int, second: int
) -> None:
    order = list(Presence)
    deadlines = tolerance.after_heartbeat(seen, interval)
    sooner, later = (deadlines.presence(seen + timedelta(seconds=each)) for each in sorted((first, second)))
    assert order.index(sooner) <= order.index(later)


@given(SEEN, TOLERANCE, INTERVAL, INTERVAL, SILENT)
def test_a_longer_interval_makes_nobody_late(
    seen: datetime, tolerance: Tolerance, one: int, other: int, silent: int
) -> None:
    now, order = seen + timedelta(seconds=silent), list(Presence)
    shorter, longer = (tolerance.after_heartbeat(seen, each).presence(now) for each in sorted((one, other)))
    assert order.index(longer) <= order.index(shorter)
