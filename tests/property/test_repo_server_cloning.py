"""Two machines under one id are seen, and one that is restarted never is."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from repo_server.cloning import ENOUGH, LATE, Boot, overlaps

START = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def most_overlaps(heard: list[tuple[float, str, int]]) -> list[int]:
    """The count after each heartbeat: (when it is heard, boot, its uptime when it was sent), in seconds."""
    counts, last = [], None
    count = 0
    for at, boot, uptime in heard:
        now = START + timedelta(seconds=at)
        count = overlaps(count, last, boot, timedelta(seconds=uptime), now)
        last = Boot(boot, now.replace(microsecond=0))
        counts.append(count)
    return counts


boots = st.lists(
    st.tuples(
        st.floats(1, 100_000),  # off for so long
        st.lists(  # each heartbeat: so long after the one before, and heard so much later
            st.tuples(st.floats(1, 900), st.floats(0, LATE.total_seconds() / 2)), max_size=12
        ),
    ),
    max_size=12,
)


@given(boots)
def test_a_device_that_is_restarted_is_never_taken_for_two(
    boots: list[tuple[float, list[tuple[float, float]]]],
) -> None:
    """However often, however soon after its last heartbeat, and with heartbeats that are late across a restart."""
    heard: list[tuple[float, str, int]] = []
    clock = 0.0
    for number, (off, beats) in enumerate(boots):
        clock += off
        began = clock
        for gap, late in beats:
            clock += gap
            heapq.heappush(heard, (clock + late, f"boot {number}", int(clock - began)))
    in_order = [heapq.heappop(heard) for _ in range(len(heard))]
    assert max(most_overlaps(in_order), default=0) < ENOUGH


@given(
    st.integers(2, 5),
    st.lists(st.floats(0, 60), min_size=40, max_size=40),
    st.integers(600, 10**7),
)
def test_machines_that_take_turns_are_seen(machines: int, jitter: list[float], uptime: int) -> None:
    """Each every five minutes, all up for a while; seen before any of them has spoken four times."""
    heard = sorted(
        (turn * 300.0 + 300 * machine / machines + jitter[turn * machines + machine], machine)
        for turn in range(40 // machines)
        for machine in range(machines)
    )
    counts = most_overlaps([(at, f"boot {machine}", uptime + int(at)) for at, machine in heard])
    assert max(counts[: 4 * machines]) >= ENOUGH


def test_a_clock_that_is_set_back_tells_nothing() -> None:
    last = Boot("a", START)
    assert overlaps(2, last, "b", timedelta(hours=1), START - timedelta(seconds=1)) == 2
    assert overlaps(2, last, "b", timedelta(hours=1), START + timedelta(seconds=1)) == 3


def test_an_ordinary_restart_forgets_what_was_odd() -> None:
    assert overlaps(2, Boot("a", START), "b", timedelta(seconds=10), START + timedelta(seconds=60)) == 0
