"""The system's upgrades and restarts: whatever a device goes through, the bounds hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pi_hook import system
from pi_hook.ports import Problem, RebootFlag, Step, StepResult
from pi_hook.system import LISTS_RETRY, MOST_ATTEMPTS, RETRY_AFTER, Moment, Next, System, Work

START = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
NAMED = [RebootFlag("linux-image 6.12"), RebootFlag("libc6 2.41"), RebootFlag("libc6 2.42")]
FLAGS = st.sampled_from([None, RebootFlag(None), *NAMED])
PROBLEMS = st.sampled_from([None, *Problem])

# One look: what has changed since the last one.
LOOKS = st.fixed_dictionaries(
    {
        "minutes": st.sampled_from([1, 5, 15, 60, 60 * 7, 60 * 24]),
        "open": st.booleans(),
        "in_window": st.booleans(),
        "update_first": st.booleans(),
        "hindered": st.booleans(),
        "synchronised": st.sampled_from([True, True, True, False]),
        "metered": st.booleans(),
        "flag": FLAGS,
        "problem": PROBLEMS,
        "restarted": st.booleans(),
        "may_restart": st.booleans(),
    }
)


class Life:
    """A device's system through many looks, with every step ending before the next look."""

    def __init__(self) -> None:
        self.system = System()
        self.now = START
        self.tried: dict[Step, datetime] = {}
        self.upgrades: list[tuple[date, datetime, Problem | None]] = []
        self.lists: list[datetime] = []
        self.restarts: list[tuple[date, datetime, RebootFlag]] = []

    def look(self, look: Mapping[str, object]) -> None:
        self.now += timedelta(minutes=int(str(look["minutes"])))
        if look["restarted"]:  # the daemon's own memory of tries is gone
            self.tried.clear()
        moment = self.moment(look)
        self.system = system.looked(self.system, moment)
        before = self.system
        what = system.next_work(self.system, moment, may_restart=bool(look["may_restart"]))
        if what is Next.NOTHING:
            return
        assert moment.synchronised
        assert not moment.update_first
        assert not moment.hindered
        if what is Next.LISTS:
            self.lists.append(self.now)
            self.do(Step.LISTS, moment, look["problem"])
            return
        assert moment.open
        assert moment.day is not None
        if what is Next.UPGRADE:
            self.upgrades.append((moment.day, self.now, look["problem"]))  # type: ignore[arg-type]
            self.do(Step.SYSTEM, moment, look["problem"])
            return
        assert look["may_restart"]
        assert moment.flag is not None
        # One restart serves the night's upgrade too.
        assert before.day == moment.day
        self.restarts.append((moment.day, self.now, moment.flag))
        self.system = system.restarting(self.system, moment.flag, moment.day, self.now)
        self.tried.clear()

    def moment(self, look: Mapping[str, object]) -> Moment:
        return Moment(
            now=self.now,
            synchronised=bool(look["synchronised"]),
            day=self.now.date() if look["in_window"] else None,
            open=bool(look["open"]),
            update_first=bool(look["update_first"]),
            hindered=bool(look["hindered"]),
            metered=bool(look["metered"]),
            since_upgrade=self.since(Step.SYSTEM),
            since_lists=self.since(Step.LISTS),
            flag=look["flag"],  # type: ignore[arg-type]
        )

    def since(self, step: Step) -> timedelta | None:
        return self.now - self.tried[step] if step in self.tried else None

    def do(self, step: Step, moment: Moment, problem: object) -> None:
        self.system = system.begun(self.system, Work(step, "security", self.now), moment.day)
        assert system.next_work(self.system, moment, may_restart=True) is Next.NOTHING, "one thing at a time"
        assert problem is None or isinstance(problem, Problem)
        self.system = system.ended(self.system, StepResult(step, "", problem), self.now)
        self.tried[step] = self.now


@given(st.lists(LOOKS, max_size=60))
def test_a_night_sees_few_attempts_and_none_after_one_that_went_well(looks: list[dict[str, object]]) -> None:
    life = Life()
    for look in looks:
        life.look(look)
    assert all(count <= MOST_ATTEMPTS for count in Counter(day for day, _, _ in life.upgrades).values())
    for (day, _, problem), (later, _, _) in pairwise(life.upgrades):
        assert problem is not None or later != day


@given(st.lists(LOOKS, max_size=60))
def test_within_one_run_of_the_daemon_nothing_is_tried_again_at_once(looks: list[dict[str, object]]) -> None:
    life = Life()
    for look in looks:
        life.look({**look, "restarted": False, "may_restart": False})
    lists = pairwise(life.lists)
    assert all(later - one >= LISTS_RETRY for one, later in lists)
    upgrades = pairwise(life.upgrades)
    assert all(later - one >= RETRY_AFTER for (day, one, _), (same, later, _) in upgrades if day == same)


@given(st.lists(LOOKS, max_size=60))
def test_restarts_are_at_most_one_a_day_and_one_for_each_named_cause(looks: list[dict[str, object]]) -> None:
    life = Life()
    for look in looks:
        life.look(look)
    assert all(count == 1 for count in Counter(day for day, _, _ in life.restarts).values())
    named = Counter(flag.cause for _, _, flag in life.restarts if flag.cause is not None)
    assert all(count == 1 for count in named.values())
    unnamed = [at for _, at, flag in life.restarts if flag.cause is None]
    assert all(later - one >= system.UNNAMED_AGAIN for one, later in pairwise(unnamed))


@given(st.sampled_from([RebootFlag(None), *NAMED]), st.integers(1, 30))
def test_a_wish_that_stays_is_followed_once_only(flag: RebootFlag, nights: int) -> None:
    life = Life()
    night = {
        "minutes": 60 * 24, "open": True, "in_window": True, "update_first": False, "hindered": False,
        "synchronised": True, "metered": False, "flag": flag, "problem": None, "restarted": True, "may_restart": True,
    }  # fmt: skip
    for _ in range(nights):
        for minutes in (60 * 24 - 30, 10, 10, 10):
            life.look({**night, "minutes": minutes})
    assert len(life.restarts) == 1


@given(st.lists(LOOKS, max_size=30), st.integers(0, 23))
def test_every_night_whose_gate_opens_for_long_enough_has_its_upgrade(
    looks: list[dict[str, object]], hour: int
) -> None:
    """Whatever went before, three looks of a quiet night suffice: lists, upgrade, rest."""
    life = Life()
    for look in looks:
        life.look(look)
    life.now = (life.now + timedelta(days=1)).replace(hour=hour, minute=0)
    quiet = {
        "minutes": 2, "open": True, "in_window": True, "update_first": False, "hindered": False,
        "synchronised": True, "metered": False, "flag": None, "problem": None, "restarted": False, "may_restart": False,
    }  # fmt: skip
    for _ in range(3):
        life.look(quiet)
    day = life.now.date()
    assert [problem for on, _, problem in life.upgrades if on == day] == [None]


def test_the_attempt_counts_before_it_begins() -> None:
    """So a night in which each attempt cuts the power has three of them."""
    remembered = System()
    day = START.date()
    for number in range(1, MOST_ATTEMPTS + 1):
        moment = Moment(START, True, day, True, False, since_lists=timedelta(0))
        assert system.next_work(remembered, moment, may_restart=False) is Next.UPGRADE
        remembered = system.begun(remembered, Work(Step.SYSTEM, "all", START), day)
        assert remembered.attempts == number
        remembered = system.ended(remembered, StepResult(Step.SYSTEM, "", Problem.INTERRUPTED), START)
    assert system.next_work(remembered, moment, may_restart=False) is Next.NOTHING
    tomorrow = replace(moment, day=day + timedelta(days=1))
    assert system.next_work(remembered, tomorrow, may_restart=False) is Next.UPGRADE
