"""The system's own packages, the agent itself, and restarts of the device: what is due now. Pure.

Once a local day, in the window, when the gate of unattended work is open: first the lists where they are old, then one
upgrade of the system's packages (as the settings say) and of the agent, then a restart where a package asks for one and
the settings allow it. An update of the assistant that is at work, or that may go now, comes first.

Everything that could go round and round is bounded by what is remembered: an upgrade is begun at most ``MOST_ATTEMPTS``
times a local day, counted before it begins, so that even one that cuts the power ends; a restart happens at most once a
local day and never twice for the same cause (docs/adr/0007-restarting-the-device.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta  # the durable form is read off the annotations
from enum import StrEnum

from pi_hook.ports import Problem, RebootFlag, Step, StepResult

MOST_ATTEMPTS = 3
RETRY_AFTER = timedelta(minutes=10)
"""Between two attempts of one night."""
LISTS_AFTER = timedelta(hours=20)
"""Lists of this age are fetched again, at any hour."""
LISTS_STALE = timedelta(hours=30)
"""Lists of this age are fetched again before an upgrade."""
LISTS_RETRY = timedelta(hours=1)
SETTLING = timedelta(minutes=10)
"""After the start of the daemon nothing is fetched at first: a boot has enough to do."""
UNNAMED_AGAIN = timedelta(days=7)
"""A restart for which no package was named may happen again after this time, if the wish was gone in between."""
_MOST_RESTARTS = 20
_FOR_TODAY = frozenset({Problem.DEPENDENCY_BLOCKED, Problem.UNTRUSTED, Problem.REFUSED, Problem.READ_ONLY_ROOT})
"""Problems that another attempt in the same night would meet again."""


class Next(StrEnum):
    """What to do now."""

    LISTS = "lists"
    UPGRADE = "upgrade"
    RESTART = "restart"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Work:
    """A step that is at work (or was, when the daemon ended)."""

    step: Step
    packages: str
    begun: datetime


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the last upgrade of the system ended."""

    at: datetime
    problem: str | None
    message: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restart:
    """A restart of the device that the agent has asked for."""

    cause: str | None
    """As ``RebootFlag.cause``."""
    day: date
    at: datetime
    gone: bool = False
    """Whether the wish has been seen gone since."""


@dataclass(frozen=True, slots=True)
class System:
    """All that is remembered; made durable by ``pi_hook.system_memory``."""

    day: date | None = None
    """The local date of the last window in which an upgrade was begun."""
    attempts: int = 0
    """Begun in it."""
    done: bool = False
    """There is nothing more to do in it."""
    waiting_since: datetime | None = None
    """Since when no upgrade has been completed: the last completed one, or the first look."""
    lists_at: datetime | None = None
    """When the lists were last fetched."""
    lists_problem: str | None = None
    at_work: Work | None = None
    last: LastRun | None = None
    restarts: tuple[Restart, ...] = ()
    """Newest last."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything that is looked at, at one instant."""

    now: datetime
    """Aware; believed only where ``synchronised``."""
    synchronised: bool
    day: date | None
    """The local date of the window in which this device may work now; None outside."""
    open: bool
    """Whether the gate of unattended work says yes."""
    update_first: bool
    """Whether the assistant's update is at work, or would go now."""
    hindered: bool = False
    """Whether another program is using apt."""
    metered: bool = False
    running_for: timedelta = SETTLING
    """Since the start of the daemon."""
    since_upgrade: timedelta | None = None
    """Since the last attempt of this daemon ended; None where there was none."""
    since_lists: timedelta | None = None
    """Since the last fetching of this daemon ended; None where there was none."""
    flag: RebootFlag | None = None


def next_work(system: System, moment: Moment, *, may_restart: bool) -> Next:
    """What may be begun now; nothing while anything else is at work."""
    if system.at_work is not None or moment.update_first or moment.hindered or not moment.synchronised:
        return Next.NOTHING
    in_window = moment.open and moment.day is not None
    if in_window and upgrade_due(system, moment):
        return Next.LISTS if _lists_older(system, moment, LISTS_STALE) else Next.UPGRADE
    settled = moment.running_for >= SETTLING
    if settled and not moment.metered and _lists_older(system, moment, LISTS_AFTER):
        return Next.LISTS
    # After the upgrade of this night, so that one restart serves both.
    if in_window and may_restart and not _upgrade_left(system, moment.day) and restart_due(system, moment):
        return Next.RESTART
    return Next.NOTHING


def upgrade_due(system: System, moment: Moment) -> bool:
    """Whether an upgrade is to be begun in the window that is open."""
    if not _upgrade_left(system, moment.day):
        return False
    return system.day != moment.day or moment.since_upgrade is None or moment.since_upgrade >= RETRY_AFTER


def _upgrade_left(system: System, day: date | None) -> bool:
    return system.day != day or (not system.done and system.attempts < MOST_ATTEMPTS)


def _lists_older(system: System, moment: Moment, age: timedelta) -> bool:
    if moment.since_lists is not None and moment.since_lists < LISTS_RETRY:
        return False
    # Lists of the future are of a clock that was wrong.
    return system.lists_at is None or not timedelta(0) <= moment.now - system.lists_at < age


def restart_due(system: System, moment: Moment) -> bool:
    """Whether the device may be restarted for what asks for it now."""
    flag = moment.flag
    if flag is None or any(restart.day == moment.day for restart in system.restarts):
        return False
    for_this = [restart for restart in system.restarts if restart.cause == flag.cause]
    if flag.cause is not None:
        return not for_this
    return all(restart.gone and moment.now - restart.at >= UNNAMED_AGAIN for restart in for_this)


def looked(system: System, moment: Moment) -> System:
    """Remember what a look alone shows: when waiting began, and wishes for a restart that have gone."""
    if system.waiting_since is None and moment.synchronised:
        system = replace(system, waiting_since=moment.now)
    if moment.flag is None and any(not restart.gone for restart in system.restarts):
        system = replace(system, restarts=tuple(replace(restart, gone=True) for restart in system.restarts))
    return system


def begun(system: System, work: Work, day: date | None) -> System:
    """A step is about to begin; for an upgrade its attempt counts from here on."""
    if work.step is Step.SYSTEM:
        attempts = system.attempts + 1 if system.day == day else 1
        system = replace(system, day=day, attempts=attempts, done=False)
    return replace(system, at_work=work)


def ended(system: System, result: StepResult, now: datetime) -> System:
    """A step has ended, whatever came of it."""
    system = replace(system, at_work=None)
    if result.step is Step.LISTS:
        if result.problem is None:
            return replace(system, lists_at=now, lists_problem=None)
        return replace(system, lists_problem=result.message or str(result.problem))
    problem = result.problem
    last = LastRun(now, None if problem is None else str(problem), result.message, result.changed)
    system = replace(system, last=last, done=problem is None or problem in _FOR_TODAY)
    return replace(system, waiting_since=now) if problem is None else system


def restarting(system: System, flag: RebootFlag, day: date, now: datetime) -> System:
    """The device is about to be restarted."""
    return replace(system, restarts=(*system.restarts, Restart(flag.cause, day, now))[-_MOST_RESTARTS:])
