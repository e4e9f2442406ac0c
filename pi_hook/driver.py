"""Performs what the state machine asks for, and tells it what came of it. One event at a time, in order."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook import activation, machine, overrides
from pi_hook.effects import (
    AskGate,
    BeginStep,
    Facts,
    JoinStep,
    Protect,
    RetryLater,
    Transition,
)
from pi_hook.handling import Handling
from pi_hook.looking import look
from pi_hook.policy import Decided, Decision
from pi_hook.ports import ReleaseError, Step, StepRequest, StepResult
from pi_hook.reasons import Reason, gate_words
from pi_hook.stepping import Stepping, Turn, problem_of
from pi_hook.update import REPLACEABLE, Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pi_hook.backoff import Backoff
    from pi_hook.clock import Timekeeper
    from pi_hook.effects import Effect
    from pi_hook.gatekeeper import Gatekeeper
    from pi_hook.loop import Loop, Timer
    from pi_hook.ports import Hands
    from pi_hook.state import Ledger
    from pi_hook.update import Device
    from pi_hook.wire import HeartbeatAnswer

_log = logging.getLogger(__name__)
_LONGEST_WAIT = 300.0
"""Seconds between two looks at the gate while an update waits: the wall clock may have been set, the zone changed."""
_CONDITION_WAIT = 60.0
_CONDITIONS = frozenset(
    {Reason.DISK_FULL, Reason.READ_ONLY_ROOT, Reason.APT_LOCKED, Reason.METERED, Reason.ON_BATTERY, Reason.BUSY}
)
_MARGIN = 0.05
"""Seconds past the promised instant, so that rounding does not ask a moment too early."""


class Driver:
    """The update at work.

    ``changed`` is called after every transition that wrote a status, ``decided`` with every answer of the gate.
    """

    def __init__(
        self,
        *,
        loop: Loop,
        hands: Hands,
        ledger: Ledger,
        clock: Timekeeper,
        gate: Gatekeeper,
        backoff: Backoff,
        soak_seconds: float,
        changed: Callable[[], None],
        decided: Callable[[Decision], None],
        turn: Turn,
    ) -> None:
        self._loop, self._hands, self._ledger, self._clock = loop, hands, ledger, clock
        self._gate, self._backoff, self._changed, self._decided = gate, backoff, changed, decided
        self._events: deque[Callable[[Device, Facts, datetime], Transition]] = deque()
        self._draining = False
        self._stepping = Stepping(loop, hands.steps, self._step_ended, self._step_gone, turn)
        self._ask_timer: Timer | None = None
        self._retry_timer: Timer | None = None
        self._handling = Handling(loop, hands, ledger, clock, soak_seconds=soak_seconds, tell=self._tell)
        self.decision = Decision(Decided.NOTHING)
        """The gate's last answer."""

    def facts(self) -> Facts:
        """What is true now."""
        return look(self._hands, self._ledger.memory.device.update)

    def resume(self) -> None:
        """Go on after a start of the daemon."""
        self._tell(machine.resumed)

    def heard(self, answer: HeartbeatAnswer) -> None:
        """A heartbeat was answered."""
        offered = answer.offer

        def event(device: Device, facts: Facts, _now: datetime) -> Transition:
            if offered is not None:
                facts = replace(facts, complete=self._hands.releases.complete(offered.version))
            return machine.heard(device, answer, facts)

        self._tell(event)

    def unwelcome(self) -> None:
        """The server does not want this device any more: nothing new is begun; what was activated is still proven."""
        self._tell(lambda device, _facts, _now: machine.ungranted(device))

    def install_now(self) -> None:
        """A person's ``pi-hook install --now``. Raises ``OverrideError``."""
        self._tell(lambda device, facts, _now: overrides.install_now(device, facts))
        _log.info("%s", overrides.INSTALL_NOW)

    def roll_back(self, name: str) -> None:
        """A person's ``pi-hook rollback``. Raises ``OverrideError``."""

        def event(device: Device, facts: Facts, now: datetime) -> Transition:
            def target() -> str:
                active, releases = facts.active or "", self._hands.releases
                oldest = releases.terms(active).oldest_rollback
                return overrides.way_back(device, active, releases.present(), oldest, self._hands.packages.compare)

            way = overrides.Way(target, self._hands.releases.reinstalls)
            transition = overrides.roll_back(device, facts, name, way, now)
            self._forget_timers()  # of an update that is set aside
            _log.info("%s", overrides.ROLL_BACK)
            return transition

        self._tell(event)

    def decide(self, facts: Facts) -> Decision:
        """What the gate says now."""
        self.decision = self._gate.for_update(facts)
        self._decided(self.decision)
        return self.decision

    def look_again(self) -> None:
        """Something changed that the gate may care about (busy, hold, conditions)."""
        update = self._ledger.memory.device.update
        if update is not None and update.phase in {Phase.DOWNLOADED, Phase.INSTALLED} and not update.blocked:
            self._ask()
        else:
            self.decide(self.facts())

    def comes_first(self, facts: Facts) -> bool:
        """Whether the update is at work, or would go now, so that the system's packages have to wait."""
        update = self._ledger.memory.device.update
        if update is None:
            return False
        if update.phase in {Phase.DOWNLOADED, Phase.INSTALLED}:
            return self.decide(facts).decision is Decided.INSTALL
        return self._stepping.at_work or update.phase not in REPLACEABLE

    def close(self) -> None:
        """Let go of a step that is at work; its unit goes on and is joined at the next start."""
        self._handling.close()
        self._stepping.close()

    def _tell(self, event: Callable[[Device, Facts, datetime], Transition]) -> None:
        self._events.append(event)
        if self._draining:
            return
        self._draining = True
        try:
            while self._events:
                self._step(self._events.popleft())
        finally:
            self._draining = False
            self._events.clear()

    def _step(self, event: Callable[[Device, Facts, datetime], Transition]) -> None:
        now = self._clock.read().wall
        before = self._ledger.memory.device
        transition = event(before, self.facts(), now)
        try:
            self._ledger.commit(transition.device, transition.notes, now)
        except OSError as error:
            # Nothing was begun that is not on the disk; what is on it is gone on from when there is room again.
            _log.error("the state cannot be written, so nothing is done: %s", error)
            self._retry_timer = self._loop.after(_CONDITION_WAIT, self.resume)
            return
        for note in transition.notes:
            _log.info("%s %s%s", note.version, note.status, _in_words(note.reason, note.retry_at, note.detail))
        if before.update is not None and transition.device.update is None:
            self._forget_timers()
        for effect in transition.effects:
            if not self._perform(effect):
                break
        if transition.notes:
            self._changed()

    def _perform(self, effect: Effect) -> bool:
        """Do it; False where the effects that follow make no sense any more."""
        match effect:
            case BeginStep() | JoinStep():
                self._work(effect)
            case AskGate():
                self._ask()
            case RetryLater(tries):
                self._retry_later(tries)
            case Protect(versions):
                return self._protect(versions)
            case _:
                self._handling.handle(effect)
        return True

    # Steps

    def _work(self, effect: BeginStep | JoinStep) -> None:
        update = self._ledger.memory.device.update
        if update is None:
            return
        back = effect.step is Step.REINSTALL and update.previous is not None
        version = update.previous if back and update.previous else update.version
        request = StepRequest(update.offer.name, version, str(update.offer.urgency))
        (self._stepping.begin if isinstance(effect, BeginStep) else self._stepping.join)(effect.step, request)

    def _step_ended(self, result: StepResult) -> None:
        if result.not_before is not None:
            self._clock.proven(result.not_before)
            self._ledger.remember(not_before=self._clock.not_before)
        told = activation.reinstalled if result.step is Step.REINSTALL else machine.step_ended
        self._tell(lambda device, facts, now: told(device, result, facts, now))

    def _step_gone(self) -> None:
        self._tell(lambda device, facts, _now: machine.step_gone(device, facts))

    # The gate

    def _ask(self) -> None:
        facts = self.facts()
        decision = self.decide(facts)
        if self._ask_timer is not None:
            self._ask_timer.cancel()
        if decision.decision is Decided.DEFER:
            self._ask_timer = self._loop.after(self._until_next_look(decision), self.look_again)
        self._tell(lambda device, facts, _now: machine.gate_said(device, decision, facts))

    def _until_next_look(self, decision: Decision) -> float:
        longest = _CONDITION_WAIT if decision.reason in _CONDITIONS else _LONGEST_WAIT
        if decision.retry_at is None:
            return longest
        left = (decision.retry_at - self._clock.read().wall).total_seconds() + _MARGIN
        return min(longest, max(_MARGIN, left))

    def _retry_later(self, tries: int) -> None:
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        wait = self._backoff.after(tries)
        self._retry_timer = self._loop.after(wait, self._retry)

    def _retry(self) -> None:
        self._tell(lambda device, facts, _now: machine.retry(device, facts))

    def _forget_timers(self) -> None:
        for timer in (self._ask_timer, self._retry_timer):
            if timer is not None:
                timer.cancel()

    # What is in use

    def _protect(self, versions: frozenset[str]) -> bool:
        try:
            self._hands.releases.protect(versions)
        except (ReleaseError, OSError) as error:
            _log.error("the layers in use cannot be protected: %s", error)  # the sentence says it all
            update = self._ledger.memory.device.update
            if update is not None and update.phase is Phase.INSTALLING:
                problem = problem_of(error)
                result = StepResult(Step.INSTALL, update.version, problem, f"the layers in use: {error}")
                self._tell(lambda device, facts, now: machine.step_ended(device, result, facts, now))
                return False
        return True


def _in_words(reason: str | None, retry_at: datetime | None, detail: str | None) -> str:
    if reason is not None:
        return f": {gate_words('defer', reason, retry_at)}" + (f" ({detail})" if detail else "")
    return f": {detail}" if detail else ""
