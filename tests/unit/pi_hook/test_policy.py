"""The gate's rules as a table: what is asked, what is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pi_hook.policy import Decided, Decision, Rules, Situation, Stage, Urgency, decide
from pi_hook.reasons import WORDS, Reason

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)
TWO = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)
RULES = Rules()


def scheduled(**changes: object) -> Situation:
    base = Situation(now=NOON, synchronised=True, zone=BERLIN, idle=timedelta(hours=3), urgency=Urgency.SCHEDULED)
    return replace(base, **changes)  # type: ignore[arg-type]  # fields of Situation


def urgent(**changes: object) -> Situation:
    return scheduled(urgency=Urgency.URGENT, **changes)


def defer(reason: Reason, retry_at: datetime | None = None) -> Decision:
    return Decision(Decided.DEFER, reason, retry_at)


INSTALL = Decision(Decided.INSTALL)
S, M, H, D = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))


@pytest.mark.parametrize(
    ("situation", "answer"),
    [
        (scheduled(urgency=None), Decision(Decided.NOTHING)),
        # Scheduled.
        (scheduled(), defer(Reason.OUTSIDE_WINDOW, TWO)),
        (scheduled(now=TWO), INSTALL),
        (scheduled(now=TWO - S), defer(Reason.OUTSIDE_WINDOW, TWO)),
        (scheduled(now=TWO + 2 * H - S), INSTALL),
        (scheduled(now=TWO + 2 * H), defer(Reason.OUTSIDE_WINDOW, TWO + D)),
        (scheduled(now=TWO, idle=9 * M), defer(Reason.RECENT_ACTIVITY, TWO + M)),
        (scheduled(now=TWO, idle=10 * M), INSTALL),
        (scheduled(now=TWO + 119 * M, idle=0 * M), defer(Reason.RECENT_ACTIVITY, TWO + D)),
        (scheduled(now=TWO - M, idle=0 * M), defer(Reason.OUTSIDE_WINDOW, TWO + 9 * M)),
        (scheduled(now=TWO, idle=0 * M, waiting=7 * D), INSTALL),
        (scheduled(now=TWO, idle=0 * M, waiting=7 * D - M), defer(Reason.RECENT_ACTIVITY, TWO + M)),
        (scheduled(idle=0 * M, waiting=30 * D), defer(Reason.OUTSIDE_WINDOW, TWO)),
        (scheduled(now=TWO, idle=None), INSTALL),
        # Urgent.
        (urgent(), INSTALL),
        (urgent(idle=H), INSTALL),
        (urgent(idle=H - S), defer(Reason.RECENT_ACTIVITY, NOON + S)),
        (urgent(now=TWO, idle=10 * M), INSTALL),
        (urgent(now=TWO - 20 * M, idle=0 * M), defer(Reason.RECENT_ACTIVITY, TWO)),
        (urgent(idle=10 * M, waiting=D), INSTALL),
        (urgent(idle=9 * M, waiting=D), defer(Reason.RECENT_ACTIVITY, NOON + M)),
        (urgent(idle=20 * M, waiting=D - 5 * M), defer(Reason.RECENT_ACTIVITY, NOON + 5 * M)),
        (urgent(idle=None), defer(Reason.OUTSIDE_WINDOW, TWO)),
        (urgent(idle=None, waiting=30 * D), defer(Reason.OUTSIDE_WINDOW, TWO)),
        (urgent(idle=None, now=TWO), INSTALL),
        # Busy.
        (urgent(busy=True), defer(Reason.BUSY)),
        (urgent(busy=True, busy_for=2 * M), defer(Reason.BUSY, NOON + 2 * M)),
        (urgent(busy=True, busy_for=2 * M, idle=0 * M), defer(Reason.BUSY, NOON + H)),
        (scheduled(busy=True, busy_for=2 * M), defer(Reason.BUSY, TWO)),
        (scheduled(busy=True, waiting=30 * D, now=TWO), defer(Reason.BUSY)),
        # An unknown time leaves an urgent release its rules of length.
        (scheduled(synchronised=False, now=TWO), defer(Reason.CLOCK_UNSYNCED)),
        (urgent(synchronised=False), INSTALL),
        (urgent(synchronised=False, idle=59 * M), defer(Reason.CLOCK_UNSYNCED)),
        (urgent(synchronised=False, idle=10 * M, waiting=D), INSTALL),
        (urgent(synchronised=False, idle=None), defer(Reason.CLOCK_UNSYNCED)),
        # First installation.
        (scheduled(first_installation=True, idle=0 * M), INSTALL),
        (scheduled(first_installation=True, synchronised=False, idle=None), INSTALL),
        (scheduled(first_installation=True, busy=True, busy_for=M), defer(Reason.BUSY, NOON + M)),
        (scheduled(first_installation=True, held=True), defer(Reason.HELD_BY_ADMIN)),
        (scheduled(first_installation=True, downloaded=False), defer(Reason.NOT_DOWNLOADED)),
        # An unconfirmed grant.
        (urgent(since_contact=15 * M), INSTALL),
        (urgent(since_contact=16 * M), defer(Reason.WITHHELD)),
        (urgent(since_contact=7 * D), defer(Reason.WITHHELD)),
        (urgent(since_contact=7 * D + S), INSTALL),
        (urgent(since_contact=8 * D, withheld=True), defer(Reason.WITHHELD)),
        (urgent(since_contact=None), INSTALL),
        # Activation fetches and unpacks nothing.
        (
            urgent(stage=Stage.ACTIVATE, problems=frozenset({"DISK_FULL", "APT_LOCKED", "METERED", "ON_BATTERY"})),
            INSTALL,
        ),
        (urgent(stage=Stage.ACTIVATE, problems=frozenset({"READ_ONLY_ROOT"})), defer(Reason.READ_ONLY_ROOT)),
        (urgent(stage=Stage.ACTIVATE, withheld=True), defer(Reason.WITHHELD)),
        (urgent(stage=Stage.ACTIVATE, idle=0 * M), defer(Reason.RECENT_ACTIVITY, NOON + H)),
    ],
)
def test_rule(situation: Situation, answer: Decision) -> None:
    assert decide(situation, RULES) == answer


def test_reasons_come_in_the_agreed_order() -> None:
    """Each reason is lifted in turn; the next one of DESIGN.md's order shows."""
    conditions = ["DEPENDENCY_BLOCKED", "DISK_FULL", "READ_ONLY_ROOT", "APT_LOCKED", "METERED", "ON_BATTERY"]
    situation = scheduled(
        held=True, withheld=True, synchronised=False, downloaded=False, problems=frozenset(conditions), busy=True,
        idle=0 * M,
    )  # fmt: skip
    lifts: list[dict[str, object]] = [
        {"held": False}, {"withheld": False}, {"synchronised": True}, {"downloaded": True},
        *[dict[str, object](problems=frozenset(conditions[n + 1 :])) for n in range(len(conditions))],
        {"busy": False}, {"now": TWO}, {"idle": H},
    ]  # fmt: skip
    seen = []
    for lift in lifts:
        decision = decide(situation, RULES)
        assert decision.decision is Decided.DEFER
        assert decision.reason is not None
        if decision.reason not in {Reason.OUTSIDE_WINDOW, Reason.RECENT_ACTIVITY}:
            assert decision.retry_at is None
        seen.append(decision.reason)
        situation = replace(situation, **lift)  # type: ignore[arg-type]  # fields of Situation
    assert seen == list(Reason)
    assert decide(situation, RULES) == INSTALL


def test_a_device_waits_for_its_own_start_in_the_window() -> None:
    device = "0195e0c8-0000-7000-8000-000000000001"
    decision = decide(scheduled(device_id=device), RULES)
    assert decision.retry_at is not None
    assert TWO < decision.retry_at < TWO + H
    assert decide(scheduled(device_id=device, now=decision.retry_at), RULES) == INSTALL
    before = decision.retry_at - timedelta(microseconds=1)
    assert decide(scheduled(device_id=device, now=before), RULES) == defer(Reason.OUTSIDE_WINDOW, decision.retry_at)


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason)
