"""The gate: may an update of the assistant start now? Pure; all rules are those of DESIGN.md, "The gate".

``decide`` takes one ``Situation`` of plain values and says ``install``, ``defer`` (with the first reason of the agreed
order, and the earliest instant at which the rules could say yes if nothing else changes) or ``nothing``.

How the rules are read where DESIGN.md leaves room:

* The rule of an urgent release by idle time, and its deadline, are lengths of time and need no wall clock; so an urgent
  release may install with an unknown time once they are met, and waits with CLOCK_UNSYNCED otherwise.
* Unknown idle time (every configured source is broken) proves no rest, so an urgent release has the window only; in the
  window nobody can be asked, and the window itself is the protection.
* A first installation interrupts nobody: it asks no rule of time (docs/adr/0001-first-installation.md).
* A person at the device may override what protects people from being interrupted (window, rest, unknown time), and
  nothing else: not a hold, not a withhold, not BUSY, no condition of the device (``pi-hook install --now``).
* A grant that the server has not confirmed for a while waits for it, as it may have been paused; after
  ``offline_grace`` it counts again (docs/adr/0002-unconfirmed-grants.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pi_hook.reasons import Reason
from pi_hook.window import windows_from

if TYPE_CHECKING:
    from datetime import tzinfo

_ZERO = timedelta(0)
_CONDITIONS = (
    Reason.DEPENDENCY_BLOCKED,
    Reason.DISK_FULL,
    Reason.READ_ONLY_ROOT,
    Reason.APT_LOCKED,
    Reason.METERED,
    Reason.ON_BATTERY,
)
_AT_ACTIVATION = frozenset({Reason.READ_ONLY_ROOT})
"""Activation renames one symlink and restarts: it fetches and unpacks nothing."""


class Decided(StrEnum):
    """What the gate says."""

    INSTALL = "install"
    DEFER = "defer"
    NOTHING = "nothing"


class Urgency(StrEnum):
    """How soon a release wants to be installed; believed only from signed metadata."""

    SCHEDULED = "scheduled"
    URGENT = "urgent"


class Stage(StrEnum):
    """What the gate is asked for: it is asked before installing, and again before the restart that a person notices."""

    INSTALL = "install"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of the gate; lengths are positive."""

    window_start: time = time(2)
    window_end: time = time(4)
    quiet: timedelta = timedelta(minutes=10)
    max_deferral: timedelta = timedelta(days=7)
    idle_required: timedelta = timedelta(hours=1)
    max_deferral_urgent: timedelta = timedelta(days=1)
    confirmed_within: timedelta = timedelta(minutes=15)
    """How old the server's last answer may be before a grant counts as unconfirmed."""
    offline_grace: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the gate looks at, at one instant."""

    now: datetime
    """Aware. Believed only where ``synchronised``."""
    synchronised: bool
    zone: tzinfo
    idle: timedelta | None
    """Time without user activity; None where every configured source is broken."""
    urgency: Urgency | None = None
    """None: there is nothing to install."""
    waiting: timedelta = _ZERO
    """How long the release has been granted."""
    device_id: str | None = None
    stage: Stage = Stage.INSTALL
    first_installation: bool = False
    override: bool = False
    """A person at the device has said now: no rule of time is asked, every other one is."""
    held: bool = False
    """By the operator, by ``pi-hook hold``, or by ``apt-mark hold``."""
    withheld: bool = False
    """The server withholds it, or no longer grants it."""
    since_contact: timedelta | None = _ZERO
    """Since the server's last answer; None where that is not known (treated as just now: the grant is all we know)."""
    downloaded: bool = True
    problems: frozenset[str] = frozenset()
    """Of DEPENDENCY_BLOCKED, DISK_FULL, READ_ONLY_ROOT, APT_LOCKED, METERED, ON_BATTERY."""
    busy: bool = False
    busy_for: timedelta | None = None
    """How long it will stay busy, where its sender said so."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer; ``retry_at`` is aware and in UTC."""

    decision: Decided
    reason: Reason | None = None
    retry_at: datetime | None = None


def decide(situation: Situation, rules: Rules) -> Decision:
    """Whether installing (or activating) may start at ``situation.now``, or the first reason that holds against it."""
    if situation.urgency is None:
        return Decision(Decided.NOTHING)
    reason = _fixed_reason(situation, rules)
    if reason is not None:
        return Decision(Decided.DEFER, reason)
    now = situation.now.astimezone(UTC)
    if situation.busy:
        if situation.busy_for is None:
            return Decision(Decided.DEFER, Reason.BUSY)
        return Decision(Decided.DEFER, Reason.BUSY, _earliest(situation, rules, now + max(situation.busy_for, _ZERO)))
    earliest = _earliest(situation, rules, now)
    if earliest == now:
        return Decision(Decided.INSTALL)
    return Decision(Decided.DEFER, _reason_of_time(situation, rules, now), earliest)


def _fixed_reason(situation: Situation, rules: Rules) -> Reason | None:
    """The first of the reasons before BUSY, which no time can be promised for."""
    if situation.held:
        return Reason.HELD_BY_ADMIN
    if situation.withheld or _unconfirmed(situation, rules):
        return Reason.WITHHELD
    if not situation.synchronised and not _free_of_wall_clock(situation, rules):
        return Reason.CLOCK_UNSYNCED
    installing = situation.stage is Stage.INSTALL
    if installing and not situation.downloaded:
        return Reason.NOT_DOWNLOADED
    for condition in _CONDITIONS:
        if condition in situation.problems and (installing or condition in _AT_ACTIVATION):
            return condition
    return None


def _unconfirmed(situation: Situation, rules: Rules) -> bool:
    since = situation.since_contact
    return since is not None and rules.confirmed_within < since <= rules.offline_grace


def _free_of_wall_clock(situation: Situation, rules: Rules) -> bool:
    """Whether a rule that only measures lengths of time says yes now."""
    if situation.first_installation or situation.override:
        return True
    after = _urgent_after(situation, rules)
    return after is not None and after <= _ZERO


def _urgent_after(situation: Situation, rules: Rules) -> timedelta | None:
    """How long until an urgent release may install at any time of day; None where it never may by that rule."""
    if situation.urgency is not Urgency.URGENT or situation.idle is None:
        return None
    by_idle = rules.idle_required - situation.idle
    by_deadline = max(rules.max_deferral_urgent - situation.waiting, rules.quiet - situation.idle)
    return min(by_idle, by_deadline)


def _quiet_after(situation: Situation, rules: Rules) -> timedelta:
    """How long until the window's rule is content with the rest there is."""
    if situation.idle is None:
        return _ZERO
    return min(rules.quiet - situation.idle, rules.max_deferral - situation.waiting)


def _earliest(situation: Situation, rules: Rules, not_before: datetime) -> datetime | None:
    """The earliest instant from ``not_before`` on at which a rule of time says yes; idle and waiting grow till then."""
    if situation.first_installation or situation.override:
        return not_before
    now = situation.now.astimezone(UTC)
    candidates = []
    after = _urgent_after(situation, rules)
    if after is not None:
        candidates.append(max(not_before, now + after))
    if situation.synchronised:
        candidates.append(_earliest_in_window(situation, rules, max(not_before, now + _quiet_after(situation, rules))))
    return min(candidates, default=None)


def _earliest_in_window(situation: Situation, rules: Rules, not_before: datetime) -> datetime:
    # The first window that closes later always does: the device's own start lies in its first half.
    window = next(windows_from(not_before, situation.zone, rules.window_start, rules.window_end))
    return max(not_before, window.starts_for(situation.device_id))


def _reason_of_time(situation: Situation, rules: Rules, now: datetime) -> Reason:
    """Why no rule of time says yes now: for scheduled OUTSIDE_WINDOW before RECENT_ACTIVITY, for urgent the latter.

    Without known idle time an urgent release has the window only, so then it is the window that it waits for.
    """
    if situation.urgency is Urgency.URGENT and situation.idle is not None:
        return Reason.RECENT_ACTIVITY
    if _earliest_in_window(situation, rules, now) == now:
        return Reason.RECENT_ACTIVITY
    return Reason.OUTSIDE_WINDOW
