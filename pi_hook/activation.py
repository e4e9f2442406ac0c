"""From the flip of ``current`` to the outcome, and the way back. Pure, as ``pi_hook.machine``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook.effects import (
    AskGate,
    BeginStep,
    Facts,
    Flip,
    Restart,
    RetryLater,
    RunHook,
    StopService,
    Transition,
    Watch,
)
from pi_hook.finish import barred, failed, note, rolled_back, succeeded
from pi_hook.machine import MOST_STRIKES
from pi_hook.ports import Problem, ReleaseCommand, Step
from pi_hook.update import Device, Phase, Update

if TYPE_CHECKING:
    from datetime import datetime

    from pi_hook.ports import CommandResult, StepResult

_HOPELESS = frozenset({Problem.NOT_PUBLISHED, Problem.UNTRUSTED})
"""The .deb to go back with is not there, or not to be trusted: trying again does not bring it."""


def hook_ended(device: Device, result: CommandResult, now: datetime) -> Transition:
    """A hook has ended. One before the activation must go well; one on the way back is only told of."""
    update = device.update
    if update is None or update.phase not in {Phase.PREPARING, Phase.RETURNING}:
        return Transition(device)
    if update.phase is Phase.RETURNING:
        why = "; ".join(words for words in (update.why, result.problem) if words)
        update = replace(update, why=why or None, hook_done=True)
        return Transition(replace(device, update=update), effects=(Restart(_previous(update)),))
    if result.problem is not None:
        update = replace(update, log_tail=result.output or None)
        detail = f"{result.problem}; it was not activated, {update.previous or 'nothing'} runs on"
        return failed(device, update, now, detail=detail)
    update = replace(update.enter(Phase.INSTALLED), hook_done=True)
    return Transition(replace(device, update=update), effects=(AskGate(),))


def flipped(device: Device, error: str | None, facts: Facts, now: datetime, journal_time: datetime) -> Transition:
    """``current`` was flipped, or could not be. ``journal_time`` is the system clock's: by it the journal is kept."""
    update = device.update
    if update is None or update.phase not in {Phase.ACTIVATING, Phase.RETURNING}:
        return Transition(device)
    if error is not None:
        return _not_flipped(device, update, error, now)
    update = replace(update, restarted_at=journal_time)
    if update.phase is Phase.ACTIVATING:
        entered = replace(device, update=update.enter(Phase.RESTARTING))
        return Transition(entered, (note(update, "restarting"),), (Restart(update.version),))
    device = replace(device, update=update)
    if facts.terms.after_rollback and not update.hook_done:
        # Nothing of either release runs while one undoes for the other what it did. It was flipped before: a power cut
        # now must not start the bad one.
        return Transition(device, effects=(StopService(), RunHook(ReleaseCommand.AFTER_ROLLBACK, update.version)))
    return Transition(device, effects=(Restart(_previous(update)),))


def restarted(device: Device, error: str | None, log_tail: str | None, facts: Facts, now: datetime) -> Transition:
    """The service was restarted, or systemd refused to."""
    update = device.update
    if update is None or update.phase not in {Phase.RESTARTING, Phase.RETURNING}:
        return Transition(device)
    if update.phase is Phase.RETURNING:  # whether it came up is what is watched now
        entered = replace(device, update=update.enter(Phase.RECHECKING))
        return Transition(entered, effects=(Watch(_previous(update)),))
    if error is not None:
        return go_back(device, replace(update, why=error, log_tail=log_tail), facts, now)
    entered = replace(device, update=update.enter(Phase.VERIFYING))
    return Transition(entered, (note(update, "verifying"),), (Watch(update.version),))


def watched(device: Device, unwell: str | None, log_tail: str | None, facts: Facts, now: datetime) -> Transition:
    """The soak is over; ``unwell`` says what was wrong with the release that was watched, None if nothing was."""
    update = device.update
    if update is None or update.phase not in {Phase.VERIFYING, Phase.RECHECKING}:
        return Transition(device)
    if update.phase is Phase.VERIFYING:
        unwell = unwell or _untrue(update, facts)
        if unwell is None:
            return succeeded(device, update, now)
        return go_back(device, replace(update, why=unwell, log_tail=log_tail), facts, now)
    previous = _previous(update)
    if unwell is None and facts.active != previous:
        unwell = f"current names {facts.active or 'no complete release'}"
    if unwell is None:
        return rolled_back(device, update, now)
    detail = f"{update.why or 'the new release was not healthy'}; the way back to {previous} failed too: {unwell}"
    return failed(device, replace(update, log_tail=update.log_tail or log_tail), now, detail=detail)


def _untrue(update: Update, facts: Facts) -> str | None:
    """Why this may not be called a success although the service looks well."""
    if not facts.holds(update.version):
        return facts.installed.broken or f"dpkg has {facts.installed.version or 'nothing'} installed"
    if facts.active != update.version:
        return f"current names {facts.active or 'no complete release'}"
    return None


def go_back(device: Device, update: Update, facts: Facts, now: datetime) -> Transition:
    """The way back, if there is one; ``why`` of the update says what for."""
    update = replace(update.enter(Phase.RETURNING), strikes=0)
    if update.previous is None:
        return failed(device, update, now, detail=f"{update.why}; there is no earlier release to go back to")
    if no_way := barred(update, facts):
        stays = f"{update.why}; {no_way}, so {update.version} stays active; release a higher version that mends it"
        return failed(device, update, now, detail=stays)
    return begin_way_back(device, update, reinstall=facts.reinstall)


def begin_way_back(device: Device, update: Update, *, reinstall: bool) -> Transition:
    """The first thing to do on the way back to ``previous``; nobody asks the gate for it."""
    if reinstall:
        device = replace(device, update=update.enter(Phase.REINSTALLING))
        return Transition(device, effects=(BeginStep(Step.REINSTALL),))
    return Transition(replace(device, update=update), effects=(Flip(_previous(update)),))


def reinstalled(device: Device, result: StepResult, facts: Facts, now: datetime) -> Transition:
    """The step that installs the version before again has ended; what dpkg says counts."""
    update = device.update
    if update is None or update.phase is not Phase.REINSTALLING:
        return Transition(device)
    previous = _previous(update)
    if result.version != previous:  # of an earlier way back
        return Transition(device, effects=(BeginStep(Step.REINSTALL),))
    if facts.installed.version == previous and facts.installed.broken is None:
        return Transition(replace(device, update=update.enter(Phase.RETURNING)), effects=(Flip(previous),))
    strikes = update.strikes + 1
    if strikes >= MOST_STRIKES or result.problem in _HOPELESS:
        detail = f"{update.why or 'the new release was not healthy'}; the way back to {previous} failed too"
        return failed(device, update, now, detail=f"{detail}: {result.message or 'dpkg does not have it'}")
    update = replace(update, strikes=strikes, tries=update.tries + 1)
    return Transition(replace(device, update=update), effects=(RetryLater(update.tries),))


def _not_flipped(device: Device, update: Update, error: str, now: datetime) -> Transition:
    strikes = update.strikes + 1
    update = replace(update, strikes=strikes, tries=update.tries + 1)
    if strikes >= MOST_STRIKES:
        why = f"{update.why}; " if update.why else ""
        return failed(device, update, now, detail=f"{why}{error}")
    if update.phase is Phase.ACTIVATING:
        update = replace(update, phase=Phase.INSTALLED)
    return Transition(replace(device, update=update), effects=(RetryLater(update.tries),))


def _previous(update: Update) -> str:
    # RETURNING and RECHECKING are entered only with one.
    return update.previous or update.version
