"""What the pages about updates say: consequences in numbers, and what happens next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repo_server import standing, waves
from repo_server.desk import bars, outlook, update_words
from repo_server.desk.outlook import Situation
from repo_server.grant import UpdateState, Urgency
from repo_server.lifecycle import Status, Stuck
from repo_server.standing import Part
from repo_server.waves import FailureLimit, Opening, Outcomes, Rollout

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WAVES = waves.parse("canary:1d,5%:1d,100%")
COUNTED = standing.of({"waiting": 400, "granted": 8, "deferred": 4, "installing": 3, "succeeded": 1200, "newer": 3,
                       "failed": 2, "rolled_back": 3})  # fmt: skip
NOBODY = standing.of({})
STOPS, SOON = "somebody pauses or halts it", "as soon as nobody has used it for an hour, or in its night"
OUTCOME = "of the devices that have an outcome"
ROLLOUT = Rollout(WAVES, FailureLimit(5, 10, None), Opening((NOW - DAY,), NOW - HOUR))
ALL_OPEN = replace(ROLLOUT, opening=Opening((NOW, NOW, NOW), NOW))


def test_every_status_is_in_one_part() -> None:
    words = [word for part in standing.STATUSES.values() for word in part]
    assert sorted(words) == sorted([*Status, standing.WAITING, standing.NEWER])
    assert set(update_words.PARTS) == set(Part)


@given(st.dictionaries(st.sampled_from([*Status, standing.WAITING, standing.NEWER]), st.integers(0, 10**6)))
def test_the_parts_add_up_to_all_devices(statuses: dict[str, int]) -> None:
    assert standing.of(statuses).total == sum(statuses.values())


def test_who_was_not_counted_waits_and_never_fewer_than_none() -> None:
    assert standing.recorded({"succeeded": 3}, addressed=10)[Part.WAITING] == 7
    assert standing.recorded({"succeeded": 12}, addressed=10)[Part.WAITING] == 0


@pytest.mark.parametrize(
    ("count", "says"),
    [(0, "no device has"), (1, "1 device has"), (2, "2 devices have"), (12_345, "12,345 devices have")],
)
def test_numbers_of_devices_and_their_verb(count: int, says: str) -> None:
    assert update_words.devices(count, "has", "have") == says


def test_a_pause_tells_who_waits_and_who_goes_on() -> None:
    assert update_words.pause(COUNTED, ROLLOUT) == (
        "412 devices have not begun and wait until it is resumed.",
        "3 devices are at work on it and go on.",
        "The dwell time of 1 d of the newest wave stands still meanwhile.",
    )
    assert update_words.pause(NOBODY, ALL_OPEN) == ("Every device has begun with it already: none is kept from it.",)


def test_a_halt_says_what_it_is_for() -> None:
    first, second, *_ = update_words.halt(COUNTED, ROLLOUT)
    assert "something is wrong" in first
    assert second == "412 devices have not begun and wait until somebody resumes it."


@pytest.mark.parametrize(
    ("rollout", "says"),
    [
        (replace(ROLLOUT, opening=Opening()), "It begins: wave 1 (the group canary) opens at once."),
        (ROLLOUT, "It goes on with wave 1 (the group canary); the waves that are open stay open."),
        (ALL_OPEN, "All waves are open: 412 devices that have not begun may install."),
        (replace(ROLLOUT, expedited=True), "It was expedited: 412 devices that have not begun may install at once."),
    ],
)
def test_going_on_says_with_what(rollout: Rollout, says: str) -> None:
    sentences = update_words.resume(COUNTED, rollout, UpdateState.PAUSED, 5)
    assert sentences[0] == says
    assert not any("taken as known" in one for one in sentences)


def test_going_on_after_a_halt_takes_the_failures_as_known() -> None:
    last = update_words.resume(COUNTED, ROLLOUT, UpdateState.HALTED, 5)[-1]
    assert last.startswith("The outcomes so far are taken as known (5 devices failed)")


def test_expediting_tells_who_gets_it_sooner_and_who_tries_again() -> None:
    sentences = update_words.expedite(COUNTED, ROLLOUT, UpdateState.PAUSED)
    assert sentences[0] == "Waves no longer count: 400 devices that wait for a turn may install at once."
    assert sentences[1] == "5 devices on which it failed try once more."
    assert "The update is paused and stays so; resume it to let devices begin." in sentences
    sentences = update_words.expedite(NOBODY, ALL_OPEN, UpdateState.ACTIVE)
    assert sentences[:2] == (
        "All waves are open already: no device gets it any sooner.",
        "It has failed on no device.",
    )
    assert not any("stays so" in one for one in sentences)


def test_withdrawing_tells_who_never_gets_it_and_who_keeps_it() -> None:
    assert update_words.withdraw(COUNTED)[:3] == (
        "412 devices have not begun and will not get it.",
        "3 devices are at work on it and go on.",
        "1,203 devices have it and keep it: to bring them back, release the older code as a higher version.",
    )
    assert update_words.withdraw(NOBODY)[0] == "Every device has begun with it already."
    assert update_words.withdraw(COUNTED)[-1] == update_words.withdraw_for_builders()[-1]


@pytest.mark.parametrize(
    ("rollout", "says"),
    [
        (ROLLOUT, "Open already, and to stay so: the group canary."),
        (replace(ROLLOUT, opening=Opening()), "It has not begun, so all waves can be changed."),
        (ALL_OPEN, "All waves are open, so only the failure limit can be changed."),
        (replace(ROLLOUT, expedited=True), "Waves do not count for this update any more"),
    ],
)
def test_changing_says_what_can_be_changed(rollout: Rollout, says: str) -> None:
    assert update_words.change(rollout)[0].startswith(says)


@pytest.mark.parametrize(
    ("limit", "says", "near"),
    [
        (None, "none: it never halts by itself", "However many devices fail, it goes on."),
        (FailureLimit(5, 3), f"5 % {OUTCOME}, 3 at least", "2 more failures in a row halt it."),
        (FailureLimit(2.5), f"2.5 % {OUTCOME}", "It is reached."),
        (FailureLimit(None, 1, 2), "2 devices", "One more failure halts it."),
        (FailureLimit(50, 1, 10), f"50 % {OUTCOME} or 10 devices", "9 more failures in a row halt it."),
        (FailureLimit(100), f"100 % {OUTCOME}", "With the outcomes so far it cannot be reached any more."),
    ],
)  # fmt: skip
def test_a_limit_and_how_near_it_is(limit: FailureLimit | None, says: str, near: str) -> None:
    assert update_words.limit(limit) == says
    assert update_words.nearness(limit, 1, 40) == near


LIMITS = st.builds(
    FailureLimit,
    percent=st.none() | st.floats(0, 100),
    minimum=st.integers(1, 20),
    count=st.none() | st.integers(1, 60),
).filter(lambda one: one.percent is not None or one.count is not None)


@given(LIMITS, st.integers(0, 40), st.integers(0, 40))
@example(FailureLimit(percent=99.99999999999999, minimum=1), 0, 7)
def test_failures_left_is_the_first_number_that_reaches_the_limit(
    limit: FailureLimit, failures: int, good: int
) -> None:
    most = 500_000  # a percentage below 100 may be very near to it
    left = waves.failures_left(limit, failures, failures + good)
    if left is None:
        assert not limit.reached(failures + most, failures + good + most) or (limit.percent or 0) > 99.9
        return
    assert limit.reached(failures + left, failures + good + left)
    assert left == 0 or not limit.reached(failures + left - 1, failures + good + left - 1)


@given(st.lists(st.floats(0.001, 99.9), unique=True, max_size=5), st.booleans(), st.integers(1, 90 * 86_400))
def test_waves_are_written_as_they_are_read(percents: list[float], canary: bool, seconds: int) -> None:
    dwell = timedelta(seconds=seconds)
    plan = [waves.Wave(group="canary", dwell=dwell)] if canary else []
    plan += [waves.Wave(percent, dwell=dwell) for percent in sorted(percents)] + [waves.Wave(100.0)]
    assert waves.parse(waves.written(plan)) == tuple(plan)


def test_stuck_devices_are_told_by_how_they_are_stuck() -> None:
    assert update_words.stuck({}) is None
    assert update_words.stuck({Stuck.SILENT: 1}) == "1 device is silent since it began"
    assert update_words.stuck({Stuck.SILENT: 2, Stuck.NO_PROGRESS: 1}) == (
        "2 devices are silent since they began; 1 device does not get on"
    )


def situation(**given: object) -> Situation:
    return replace(Situation(UpdateState.ACTIVE, Urgency.SCHEDULED, ROLLOUT, COUNTED, 2, 40), **given)  # type: ignore[arg-type]


def said(found: Situation) -> list[str]:
    return ["".join(part if isinstance(part, str) else f"<{part:%d %H:%M}>" for part in one)
            for one in outlook.sentences(found)]  # fmt: skip


DUE = f"<{NOW - HOUR + DAY:%d %H:%M}>"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            situation(sizes=[12, 88, 1512]),
            [f"Wave 2 (5 %, 88 devices) opens {DUE}, unless 8 more devices in a row fail before that, or {STOPS}."],
        ),
        (
            situation(failures=0, finished=0, rollout=replace(ROLLOUT, limit=FailureLimit(None, 1, 1))),
            [f"Wave 2 (5 %) opens {DUE}, unless 1 device fails before that, or somebody pauses or halts it."],
        ),
        (
            situation(rollout=replace(ROLLOUT, limit=None)),
            [f"Wave 2 (5 %) opens {DUE}, unless somebody pauses or halts it."],
        ),
        (
            situation(rollout=ALL_OPEN),
            ["All waves are open. 412 devices have yet to begin, each in its own night, when nobody uses it."],
        ),
        (
            situation(rollout=replace(ROLLOUT, expedited=True), urgency=Urgency.URGENT, superseded_by="1.3.0"),
            ["1.3.0 goes before it: devices that have not begun are offered that one.",
             f"It was expedited: waves no longer count. 412 devices have yet to begin, each {SOON}."],
        ),
        (
            situation(standing=standing.of({"succeeded": 9}), rollout=ALL_OPEN),
            ["Nothing: every device that it is for has an outcome."],
        ),
        (
            situation(state=UpdateState.PAUSED, rollout=replace(ROLLOUT, opening=Opening()), sizes=[12, 88, 1512]),
            ["It is announced and has not begun. Nothing happens until somebody resumes it.",
             "Once it is resumed, wave 1 (the group canary, 12 devices) opens at once.",
             "3 devices have begun and go on."],
        ),
        (
            situation(state=UpdateState.PAUSED, stopped_at=NOW, standing=standing.of({"waiting": 1})),
            ["It is paused since <29 01:30>. Nothing happens until somebody resumes it.",
             "Wave 2 (5 %) opens 23 h after it is resumed."],
        ),
        (
            situation(state=UpdateState.PAUSED, stopped_at=NOW + 2 * DAY, standing=NOBODY),
            ["It is paused since <31 01:30>. Nothing happens until somebody resumes it.",
             "Wave 2 (5 %) opens as soon as it is resumed."],
        ),
        (
            situation(state=UpdateState.HALTED, stopped_at=NOW, halt_reason="3 of 9 failed", rollout=ALL_OPEN),
            ["It is halted since <29 01:30>: 3 of 9 failed. Nothing happens until somebody resumes or withdraws it.",
             "Once it is resumed, 412 devices may begin.", "3 devices have begun and go on."],
        ),
        (
            situation(state=UpdateState.WITHDRAWN),
            ["It was withdrawn: no device begins with it any more.", "3 devices have begun and go on."],
        ),
    ],
)  # fmt: skip
def test_what_happens_next(found: Situation, says: list[str]) -> None:
    assert said(found) == says


def test_what_opens_next_is_what_the_rules_open() -> None:
    later = waves.next_at(ROLLOUT)
    assert later is not None
    (sentence,) = outlook.sentences(situation())
    assert later in sentence
    opened = waves.advance(ROLLOUT, later)
    assert len(opened.opened) == 2
    assert waves.advance(ROLLOUT, later - timedelta(seconds=1)) == ROLLOUT.opening


def test_what_is_accepted_is_no_failure_of_the_words() -> None:
    resumed = replace(ROLLOUT, accepted=Outcomes(5, 40))
    assert said(situation(rollout=resumed, failures=0, finished=0))[0].startswith("Wave 2 (5 %) opens")


@given(st.lists(st.integers(0, 10**6), max_size=7))
def test_a_bar_is_full_and_shows_all_that_there_is(numbers: list[int]) -> None:
    found = bars.bar((f"word{at}", "text", number) for at, number in enumerate(numbers))
    assert [one.count for one in found] == [number for number in numbers if number]
    if found:
        assert found[0].x == 0
        assert found[-1].x + found[-1].width == pytest.approx(bars.WIDTH, abs=0.1)
        assert min(one.width for one in found) > 5
