"""The gate against properties that must hold for every situation, in every zone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from pi_hook.policy import Decided, Rules, Situation, Stage, Urgency, decide
from pi_hook.reasons import Reason
from pi_hook.window import windows_from

ZONES = sorted(available_timezones())
BEFORE_BUSY = set(list(Reason)[: list(Reason).index(Reason.BUSY)])
LENGTHS = st.integers(0, 20 * 86_400).map(lambda s: timedelta(seconds=s))
CONDITIONS = ["DEPENDENCY_BLOCKED", "DISK_FULL", "READ_ONLY_ROOT", "APT_LOCKED", "METERED", "ON_BATTERY"]

rules = st.builds(
    Rules,
    window_start=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    window_end=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    quiet=st.integers(0, 7200).map(lambda s: timedelta(seconds=s)),
    max_deferral=LENGTHS,
    idle_required=st.integers(0, 86_400).map(lambda s: timedelta(seconds=s)),
    max_deferral_urgent=LENGTHS,
)
situations = st.builds(
    Situation,
    now=st.integers(1_672_531_200, 1_830_297_600).map(lambda s: datetime.fromtimestamp(s, UTC)),
    synchronised=st.sampled_from([True, True, True, False]),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    idle=st.none() | st.integers(0, 200_000).map(lambda s: timedelta(seconds=s)),
    urgency=st.sampled_from(Urgency),
    waiting=LENGTHS,
    device_id=st.none() | st.uuids().map(str),
    stage=st.sampled_from(Stage),
    first_installation=st.sampled_from([False, False, False, True]),
    held=st.sampled_from([False, False, False, True]),
    withheld=st.sampled_from([False, False, False, True]),
    since_contact=st.none() | LENGTHS,
    downloaded=st.sampled_from([True, True, True, False]),
    problems=st.frozensets(st.sampled_from(CONDITIONS), max_size=1),
    busy=st.sampled_from([False, False, True]),
    busy_for=st.none() | st.integers(0, 7200).map(lambda s: timedelta(seconds=s)),
)


@given(situation=situations, rules=rules)
@settings(max_examples=600, deadline=None)
def test_an_install_is_allowed_only_by_a_rule_of_the_design(situation: Situation, rules: Rules) -> None:
    """The rules once more, written as DESIGN.md says them, with a window looked up in the plainest way."""
    if decide(situation, rules).decision is not Decided.INSTALL:
        return
    assert not any((situation.held, situation.withheld, situation.busy))
    if situation.stage is Stage.INSTALL:
        assert situation.downloaded
        assert not situation.problems
    if situation.first_installation:
        return
    window = next(windows_from(situation.now, situation.zone, rules.window_start, rules.window_end))
    idle = situation.idle
    quiet = idle is None or idle >= rules.quiet
    in_window = (
        situation.synchronised
        and window.starts_for(situation.device_id) <= situation.now < window.closes
        and (quiet or situation.waiting >= rules.max_deferral)
    )
    by_length = (
        situation.urgency is Urgency.URGENT
        and idle is not None
        and (idle >= rules.idle_required or (situation.waiting >= rules.max_deferral_urgent and idle >= rules.quiet))
    )
    assert in_window or by_length


@given(situation=situations, rules=rules)
@settings(max_examples=600, deadline=None)
def test_the_retry_time_is_the_earliest_yes_if_nothing_else_changes(situation: Situation, rules: Rules) -> None:
    decision = decide(situation, rules)
    if decision.retry_at is None:
        assert decision.decision is Decided.INSTALL or decision.reason in BEFORE_BUSY or decision.reason is Reason.BUSY
        if decision.reason is Reason.BUSY:
            assert situation.busy_for is None or not situation.synchronised
        return
    assert decision.decision is Decided.DEFER
    assert decision.reason not in BEFORE_BUSY
    assert decision.retry_at >= situation.now
    assert decide(later(situation, decision.retry_at), rules).decision is Decided.INSTALL
    for share in (0.0, 0.37, 0.999999):
        between = situation.now + (decision.retry_at - situation.now) * share
        if between < decision.retry_at:
            assert decide(later(situation, between), rules).decision is Decided.DEFER


def later(situation: Situation, at: datetime) -> Situation:
    """Nothing changes but the time: idle, waiting and being busy go on. (The server confirms the grant meanwhile.)"""
    passed = at - situation.now
    busy_for = None if situation.busy_for is None else situation.busy_for - passed
    return replace(
        situation,
        now=at,
        idle=None if situation.idle is None else situation.idle + passed,
        waiting=situation.waiting + passed,
        since_contact=timedelta(0),
        busy=situation.busy and (busy_for is None or busy_for > timedelta(0)),
        busy_for=busy_for,
    )


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    now=st.integers(1_672_531_200, 1_830_297_600).map(lambda s: datetime.fromtimestamp(s, UTC)),
    device=st.uuids().map(str),
)
@settings(max_examples=200, deadline=None)
def test_a_device_that_nobody_uses_gets_a_scheduled_release_within_two_days(
    zone: ZoneInfo, now: datetime, device: str
) -> None:
    situation = Situation(
        now, synchronised=True, zone=zone, idle=timedelta(days=1), urgency=Urgency.SCHEDULED, device_id=device
    )
    decision = decide(situation, Rules(window_start=time(2), window_end=time(4)))
    assert decision.decision is Decided.INSTALL or (
        decision.retry_at is not None and decision.retry_at - now < timedelta(hours=28)
    )
