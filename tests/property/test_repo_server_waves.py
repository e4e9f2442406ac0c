"""Rules that hold for every list of waves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server.waves import (
    EVERYONE,
    FailureLimit,
    Opening,
    Outcomes,
    Rollout,
    Wave,
    advance,
    begin,
    go_on,
    keeps_open,
    next_at,
    parse,
    position,
    problem,
    reach,
    verdict,
    wave_of,
)

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
UPDATE = "0195e0c8-0000-7000-8000-00000000000f"

groups = st.sampled_from([None, "canary", "kitchens"])
dwells = st.integers(1, 90 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def wave_lists(draw: st.DrawFn) -> tuple[Wave, ...]:
    percents = sorted(draw(st.sets(st.floats(0.001, 99.9), max_size=6)))
    waves = [Wave(percent=one, dwell=draw(dwells)) for one in percents]
    if draw(st.booleans()):
        waves.insert(0, Wave(group="canary", dwell=draw(dwells)))
    return (*waves, *EVERYONE)


@given(wave_lists(), st.uuids(), st.uuids(), groups)
def test_a_device_stays_in_from_its_wave_on(
    waves: tuple[Wave, ...], update: object, device: object, group: str | None
) -> None:
    first = wave_of(waves, str(update), str(device), group)
    inside = [reach(waves, opened).includes(str(update), str(device), group) for opened in range(len(waves) + 1)]
    assert inside == [opened > first for opened in range(len(waves) + 1)]


@given(wave_lists())
def test_every_valid_list_is_accepted_and_its_last_wave_holds_everybody(waves: tuple[Wave, ...]) -> None:
    assert problem(waves) is None
    assert reach(waves, len(waves)).includes(UPDATE, "any device", None)
    assert not reach(waves, 0).includes(UPDATE, "any device", "canary")


@pytest.mark.parametrize("percent", [0.1, 1, 5, 25, 50, 90])
@pytest.mark.parametrize("update", ["one update", "another update", UPDATE])
def test_a_percentage_is_that_share_of_the_devices(percent: float, update: str) -> None:
    """Within four standard deviations of 20,000 fair draws; the devices are always the same."""
    size, share = 20_000, percent / 100
    found = sum(reach((Wave(percent=percent),), 1).includes(update, f"device {number}", None) for number in range(size))
    assert abs(found - size * share) < 4 * sqrt(size * share * (1 - share))


def test_every_release_falls_on_other_homes_first() -> None:
    """Whoever is among the first tenth once is so again no more often than by chance."""
    devices = [f"device {number}" for number in range(20_000)]
    first = {one for one in devices if position("1.1.0", one) < 0.1}
    second = {one for one in devices if position("1.2.0", one) < 0.1}
    assert abs(len(first & second) - 200) < 4 * sqrt(200)


def test_positions_are_the_same_on_every_server_and_in_every_version_of_it() -> None:
    """Written down: a change would put devices that may install back into the queue."""
    assert [round(position(UPDATE, f"device {number}"), 6) for number in range(3)] == POSITIONS


POSITIONS = [0.599248, 0.711834, 0.945733]


@given(wave_lists(), st.lists(st.tuples(dwells, st.booleans()), max_size=20))
def test_waves_open_in_order_one_at_a_time_and_never_early(
    waves: tuple[Wave, ...], course: list[tuple[timedelta, bool]]
) -> None:
    """Time passes, with pauses between; ``True`` is a pause of that length."""
    rollout, now, active = Rollout(waves, opening=begin(NOW)), NOW, timedelta(0)
    for length, paused in course:
        now += length
        if paused:
            rollout = replace(rollout, opening=go_on(rollout.opening, now - length, now))
            continue
        active += length
        due, before = next_at(rollout), len(rollout.opening.opened)
        rollout = replace(rollout, opening=advance(rollout, now))
        opened = len(rollout.opening.opened)
        assert opened == before + (due is not None and due <= now)
        assert sum((wave.dwell or timedelta(0) for wave in waves[: opened - 1]), timedelta(0)) <= active
    assert list(rollout.opening.opened) == sorted(rollout.opening.opened)
    assert len(rollout.opening.opened) <= len(waves)


@given(wave_lists(), wave_lists(), st.integers(0, 8))
def test_a_changed_list_is_taken_only_where_nobody_is_put_back(
    before: tuple[Wave, ...], after: tuple[Wave, ...], opened: int
) -> None:
    opened = min(opened, len(before))
    rollout = Rollout(before, opening=Opening((NOW,) * opened, NOW))
    assert keeps_open(rollout, before)
    if keeps_open(rollout, after) and opened:
        assert reach(after, opened) == rollout.reach


counts = st.integers(0, 10_000)
limits = st.builds(FailureLimit, st.none() | st.floats(0, 100), st.integers(1, 100), st.none() | st.integers(1, 100))


@given(limits, counts, counts, counts)
def test_more_failures_never_undo_a_verdict(limit: FailureLimit, failures: int, successes: int, more: int) -> None:
    rollout = Rollout(limit=limit)
    halted = verdict(rollout, Outcomes(failures, failures + successes)) is not None
    worse = verdict(rollout, Outcomes(failures + more, failures + successes + more)) is not None
    assert worse or not halted
    if halted:
        assert failures > 0
        enough = limit.count is not None and failures >= limit.count
        share = limit.percent is not None and failures >= limit.minimum
        assert enough or share


@given(limits, counts, counts, counts)
def test_what_was_known_when_it_was_resumed_halts_nothing(
    limit: FailureLimit, failures: int, successes: int, more: int
) -> None:
    known = Outcomes(failures, failures + successes)
    resumed = Rollout(limit=limit, accepted=known)
    assert verdict(resumed, known) is None
    assert verdict(resumed, Outcomes(failures, known.finished + more)) is None
    since = verdict(resumed, Outcomes(failures + more, known.finished + more))
    assert (since is None) is (verdict(Rollout(limit=limit), Outcomes(more, more)) is None)


def test_without_a_limit_nothing_halts() -> None:
    assert verdict(Rollout(), Outcomes(100, 100)) is None


@pytest.mark.parametrize(
    ("limit", "failures", "finished", "reached"),
    [
        (FailureLimit(percent=5, minimum=3), 2, 2, False),
        (FailureLimit(percent=5, minimum=3), 3, 60, True),
        (FailureLimit(percent=5, minimum=3), 3, 61, False),
        (FailureLimit(count=4), 3, 3, False),
        (FailureLimit(count=4), 4, 10_000, True),
        (FailureLimit(percent=50, minimum=3, count=2), 2, 10_000, True),
        (FailureLimit(percent=0), 1, 10_000, True),
        (FailureLimit(percent=0), 0, 10_000, False),
    ],
)
def test_the_limit(limit: FailureLimit, failures: int, finished: int, *, reached: bool) -> None:
    assert limit.reached(failures, finished) is reached


def test_waves_as_people_write_them() -> None:
    assert parse("canary:1d, 0.5%:12h,100%") == (
        Wave(group="canary", dwell=timedelta(days=1)),
        Wave(percent=0.5, dwell=timedelta(hours=12)),
        Wave(percent=100.0),
    )
    assert parse("100%") == EVERYONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a group or a percentage"), ("canary:1d,5%", "last wave must be 100 percent"),
        ("5%,100%", "needs a dwell time"), ("x%:1d,100%", "not a percentage"),
        ("5%:soon,100%", "not a duration"), ("100%:1d", "no dwell time"), ("101%", "at most 100"),
        ("5%:1d,canary:1d,100%", "only the first"), ("nan%", "percent"),
    ],
)  # fmt: skip
def test_waves_that_cannot_be_read_say_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)
