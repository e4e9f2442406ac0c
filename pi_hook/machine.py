"""One update on the device: what happens next. Pure; events and facts in, a ``Transition`` of plain values out.

The daemon makes a transition durable (the new state together with its statuses) before it performs the effects, and
tells the outcome of each effect as the next event. After a crash nothing remembered is believed: ``resumed`` looks at
the facts (dpkg, ``current``, the running process) and goes on from what is true. So a power cut between any two lines
of the daemon costs at most a repeated effect, and each effect may be repeated.

``succeeded`` has one way in: ``watched`` with a healthy verdict on the new release, while dpkg and ``current`` both
name it. What happens from the flip on stands in ``pi_hook.activation``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pi_hook.effects import (
    AskGate,
    BeginStep,
    Facts,
    Flip,
    JoinStep,
    Note,
    Protect,
    RetryLater,
    RunHook,
    Transition,
    Watch,
)
from pi_hook.finish import barred, failed, note, told_of
from pi_hook.policy import Decided, Decision, Urgency
from pi_hook.ports import Problem, ReleaseCommand, Step, StepResult
from pi_hook.reasons import Reason
from pi_hook.update import REPLACEABLE, WORKING, Device, Outcome, Phase, Update
from pi_hook.wire import Withheld

if TYPE_CHECKING:
    from pi_hook.effects import Effect
    from pi_hook.wire import HeartbeatAnswer, Offer

_STEPS = {Phase.REFRESHING: Step.REFRESH, Phase.DOWNLOADING: Step.DOWNLOAD, Phase.INSTALLING: Step.INSTALL}
_STEPS[Phase.REINSTALLING] = Step.REINSTALL
_BEFORE = {Phase.REFRESHING: Phase.GRANTED, Phase.DOWNLOADING: Phase.REFRESHED, Phase.INSTALLING: Phase.DOWNLOADED}
_BEFORE[Phase.REINSTALLING] = Phase.REINSTALLING  # the way back asks nobody
"""Where a step that did not do its work leaves the update."""
_STRIKING = frozenset({Problem.UNTRUSTED, Problem.DPKG_FAILED, Problem.INTERRUPTED})
"""Problems that may be an accident; at the third the update has failed."""
MOST_STRIKES = 3
_STALE_LISTS = frozenset({Problem.UNREACHABLE, Problem.NOT_PUBLISHED, Problem.UNTRUSTED, Problem.REFUSED})
"""Problems after which the lists are fetched again, whichever step met them."""
_BLOCKING = {
    Problem.DEPENDENCY_BLOCKED: Reason.DEPENDENCY_BLOCKED,
    Problem.DISK_FULL: Reason.DISK_FULL,
    Problem.READ_ONLY_ROOT: Reason.READ_ONLY_ROOT,
    Problem.APT_LOCKED: Reason.APT_LOCKED,
}
_RETRY_MOVED = timedelta(minutes=5)
"""A deferral for the same reason is reported again only when its next try has moved by this much."""


def heard(device: Device, answer: HeartbeatAnswer, facts: Facts) -> Transition:
    """A heartbeat was answered: hold, offer and withhold as the server sees them now."""
    device = replace(device, hold=answer.hold, withheld=answer.withheld)
    update, offer = device.update, answer.offer
    if offer is not None:
        if update is None:
            return _begin(device, offer, facts)
        if update.offer.update_id == offer.update_id and update.version == offer.version:
            return _again(replace(device, update=replace(update, offer=offer)), facts)
        return _begin(device, offer, facts) if update.phase in REPLACEABLE else Transition(device)
    if update is None or update.phase not in {*REPLACEABLE, Phase.PREPARING}:
        return Transition(device)
    if answer.withheld is None or answer.withheld.update_id != update.offer.update_id:
        return ungranted(device)
    return Transition(device, effects=() if update.phase is Phase.PREPARING else (AskGate(),))


def ungranted(device: Device) -> Transition:
    """The grant of the update at work is no more. One that has begun to be activated is seen through to its end."""
    update = device.update
    if update is None or update.phase not in {*REPLACEABLE, Phase.PREPARING}:
        return Transition(device)
    if update.phase not in {Phase.INSTALLED, Phase.PREPARING}:
        return Transition(replace(device, update=None))
    # It is on the disk and must not come alive without a grant; a newer offer replaces it.
    device = replace(device, withheld=Withheld(update.offer.update_id, update.version, "WITHDRAWN"))
    return Transition(device, effects=() if update.phase is Phase.PREPARING else (AskGate(),))


def step_ended(device: Device, result: StepResult, facts: Facts, now: datetime) -> Transition:
    """A step's unit has ended; for an installation what dpkg says counts, not the result."""
    update = device.update
    if update is None or update.phase not in WORKING:
        return Transition(device)
    if _STEPS[update.phase] is not result.step or result.version != update.version:
        return step_gone(device, facts)
    if update.phase is Phase.INSTALLING and facts.holds(update.version):
        return _enter(device, update, Phase.INSTALLED, effects=(AskGate(),))
    if result.problem is not None:
        return _problem(device, update, result.problem, result.message, now)
    if update.phase is Phase.INSTALLING:
        words = facts.installed.broken or f"dpkg has {facts.installed.version or 'nothing'} installed"
        return _problem(device, update, Problem.DPKG_FAILED, f"after the installation {words}", now)
    return _progress(device, update, result, facts)


def _progress(device: Device, update: Update, result: StepResult, facts: Facts) -> Transition:
    if update.phase is Phase.DOWNLOADING:
        return _enter(device, update, Phase.DOWNLOADED, notes=(note(update, "downloaded"),), effects=(AskGate(),))
    signed = Urgency(result.urgency) if result.urgency in set(Urgency) else None
    update = replace(update.enter(Phase.REFRESHED), signed_urgency=signed)
    onward = go_on(replace(device, update=update), facts)
    return replace(onward, notes=(note(update, "refreshed"), *onward.notes))


def step_gone(device: Device, facts: Facts) -> Transition:
    """A step that the state speaks of is not at work (after a crash): go by what is true, and ask the gate again."""
    update = device.update
    if update is None or update.phase not in WORKING:
        return Transition(device)
    if update.phase is Phase.INSTALLING and facts.holds(update.version):
        return _enter(device, update, Phase.INSTALLED, effects=(AskGate(),))
    return go_on(replace(device, update=replace(update, phase=_BEFORE[update.phase])), facts)


def gate_said(device: Device, decision: Decision, facts: Facts) -> Transition:
    """The gate's answer for the update that waits for it."""
    update = device.update
    if update is None or update.phase not in {Phase.DOWNLOADED, Phase.INSTALLED}:
        return Transition(device)
    if decision.decision is not Decided.INSTALL:
        return _deferred(device, update, decision)
    # Of one ordinary package nothing is active while it is being replaced, and afterwards the new version is.
    previous = facts.active if facts.active not in {None, update.version} else update.previous
    update = replace(update, previous=previous)
    if update.phase is Phase.DOWNLOADED:
        update = replace(update, first=facts.installed.version is None and facts.active is None)
        kept = frozenset(v for v in (facts.active, device.last_good, update.version) if v is not None)
        effects = (Protect(kept), BeginStep(Step.INSTALL))
        # The count of tries stays, as with every step: else what is locked out would be tried twice a minute for ever.
        entered = replace(update.enter(Phase.INSTALLING), tries=update.tries)
        return Transition(
            replace(device, update=entered), (note(update, "installing", detail=told_of(update)),), effects
        )
    if not facts.holds(update.version):
        words = facts.installed.broken or f"dpkg has {facts.installed.version or 'nothing'} installed by now"
        gone = (note(update, "deferred", reason=Reason.NOT_DOWNLOADED, detail=words),)
        onward = go_on(replace(device, update=update.enter(Phase.GRANTED)), facts)
        return replace(onward, notes=(*gone, *onward.notes))
    # Where `current` names it already (a first installation), its process has begun; there is nothing to prepare.
    if facts.terms.before_activation and not update.hook_done and facts.active != update.version:
        hook = RunHook(ReleaseCommand.BEFORE_ACTIVATION, update.version)
        return _enter(device, update, Phase.PREPARING, effects=(hook,))
    notes = (note(update, "activating", detail=told_of(update, barred(update, facts))),)
    return _enter(device, update, Phase.ACTIVATING, notes=notes, effects=(Flip(update.version),))


def retry(device: Device, facts: Facts) -> Transition:
    """The wait after a problem is over."""
    if device.update is None:
        return Transition(device)
    return go_on(replace(device, update=replace(device.update, blocked=None)), facts)


def go_on(device: Device, facts: Facts) -> Transition:
    """Do what is next for an update that waits; nothing new is begun while it is withheld."""
    update = device.update
    if update is None:
        return Transition(device)
    if update.phase in {Phase.DOWNLOADED, Phase.INSTALLED}:
        return Transition(device, effects=(AskGate(),))
    if update.phase is Phase.ACTIVATING:
        return Transition(device, effects=(Flip(update.version),))
    if update.phase is Phase.REINSTALLING:
        return Transition(device, effects=(BeginStep(Step.REINSTALL),))
    if update.phase is Phase.RETURNING and update.previous is not None:
        return Transition(device, effects=(Flip(update.previous),))
    return _next_step(device, update, facts) if device.withheld is None else Transition(device)


def _next_step(device: Device, update: Update, facts: Facts) -> Transition:
    if update.phase is Phase.GRANTED:
        return _work(device, update, Phase.REFRESHING)
    if update.phase is not Phase.REFRESHED:
        return Transition(device)
    if facts.holds(update.version):  # from an attempt before; what is signed of it is known again
        return _enter(device, update, Phase.INSTALLED, effects=(AskGate(),))
    if Reason.METERED in facts.problems:
        return _wait(device, update, Reason.METERED, None)
    # One that was deferred stays so until a try has shown progress: else it would be "downloading" for ever.
    notes = (note(update, "downloading"),) if update.deferred_reason is None else ()
    return _work(device, update, Phase.DOWNLOADING, notes=notes)


def resumed(device: Device, facts: Facts, now: datetime) -> Transition:
    """The daemon starts: go on from the facts, whatever the state says was being done."""
    update = device.update
    if update is None:
        return Transition(device)
    if update.phase in WORKING:
        return Transition(device, effects=(JoinStep(_STEPS[update.phase]),))
    if update.phase in {Phase.ACTIVATING, Phase.RESTARTING}:
        return _resumed_activation(device, update, facts, now)
    if update.phase is Phase.VERIFYING:
        return Transition(device, effects=(Watch(update.version),))
    if update.phase is Phase.RECHECKING and update.previous is not None:
        return Transition(device, effects=(Watch(update.previous),))
    if update.phase is Phase.PREPARING:  # the gate has to say yes to running the hook once more
        update = update.enter(Phase.INSTALLED)
    # What a hook prepared long ago may not fit any more; what one undid stays undone.
    hook_done = update.hook_done and update.phase is Phase.RETURNING
    return go_on(replace(device, update=replace(update, blocked=None, hook_done=hook_done)), facts)


def _resumed_activation(device: Device, update: Update, facts: Facts, now: datetime) -> Transition:
    if facts.active == update.version and facts.running == update.version:
        update = replace(update, restarted_at=update.restarted_at or now)
        notes = (note(update, "verifying"),)
        return _enter(device, update, Phase.VERIFYING, notes=notes, effects=(Watch(update.version),))
    if not facts.serving:  # nobody is interrupted
        return _enter(device, update, Phase.ACTIVATING, effects=(Flip(update.version),))
    return _enter(device, update, Phase.INSTALLED, effects=(AskGate(),))


def _begin(device: Device, offer: Offer, facts: Facts) -> Transition:
    done = any(past.update_id == offer.update_id and past.outcome is Outcome.SUCCEEDED for past in device.history)
    if device.is_bad(offer) or (done and facts.active == offer.version):
        # A replaced update has no grant any more.
        return Transition(replace(device, update=None))
    device = replace(device, bad=tuple(bad for bad in device.bad if bad.version != offer.version))
    update = Update(offer, Phase.GRANTED)
    old = facts.serving and facts.running != offer.version
    if not facts.holds(offer.version) or facts.active != offer.version or old:
        if facts.active == offer.version and device.last_good != offer.version:
            update = replace(update, previous=device.last_good)
        return go_on(replace(device, update=update), facts)
    # It is there already (a person's own apt, a lost state): prove it before saying so.
    update = replace(update, previous=device.last_good if device.last_good != offer.version else None)
    notes = (note(update, "verifying"),)
    return _enter(device, update, Phase.VERIFYING, notes=notes, effects=(Watch(update.version),))


def _again(device: Device, facts: Facts) -> Transition:
    """The same offer once more: only what had stopped for a withhold goes on."""
    update = device.update
    if update is not None and update.phase in {Phase.GRANTED, Phase.REFRESHED} and update.tries == 0:
        return go_on(device, facts)
    if update is not None and update.phase in {Phase.DOWNLOADED, Phase.INSTALLED} and update.blocked is None:
        return Transition(device, effects=(AskGate(),))
    return Transition(device)


def _problem(device: Device, update: Update, problem: Problem, message: str, now: datetime) -> Transition:
    strikes = update.strikes + (problem in _STRIKING)
    if problem is Problem.URGENCY_MISMATCH or strikes >= MOST_STRIKES:
        return failed(device, update, now, detail=message or str(problem))
    back = Phase.GRANTED if problem in _STALE_LISTS else _BEFORE[update.phase]
    reason = _BLOCKING.get(problem)
    if reason is None and (update.phase is not Phase.INSTALLING or back is Phase.GRANTED):
        reason = Reason.NOT_DOWNLOADED
    return _wait(device, replace(update, phase=back, strikes=strikes), reason, message)


def _wait(device: Device, update: Update, reason: Reason | None, message: str | None) -> Transition:
    """Try again later; said to the server where it can be named and is news."""
    notes: tuple[Note, ...] = ()
    if reason is not None and reason != update.deferred_reason:
        notes = (note(update, "deferred", reason=reason, detail=message or None),)
    update = replace(update, blocked=reason, tries=update.tries + 1, deferred_reason=reason, deferred_retry_at=None)
    return Transition(replace(device, update=update), notes, (RetryLater(update.tries),))


def _deferred(device: Device, update: Update, decision: Decision) -> Transition:
    update = replace(update, hook_done=False)  # by the time of the next yes the hook has to look again
    device = replace(device, update=update)
    before, after = update.deferred_retry_at, decision.retry_at
    moved = before is not None and after is not None and abs(after - before) >= _RETRY_MOVED
    if decision.reason == update.deferred_reason and not moved:
        return Transition(device)
    update = replace(update, deferred_reason=decision.reason, deferred_retry_at=after)
    notes = (note(update, "deferred", reason=decision.reason, retry_at=after),)
    return Transition(replace(device, update=update), notes)


def _work(device: Device, update: Update, phase: Phase, *, notes: tuple[Note, ...] = ()) -> Transition:
    # Counters stay: only the end of the step shows whether there was progress.
    effects = (BeginStep(_STEPS[phase]),)
    return Transition(replace(device, update=replace(update, phase=phase)), notes, effects)


def _enter(
    device: Device, update: Update, phase: Phase, *, notes: tuple[Note, ...] = (), effects: tuple[Effect, ...] = ()
) -> Transition:
    return Transition(replace(device, update=update.enter(phase)), notes, effects)
