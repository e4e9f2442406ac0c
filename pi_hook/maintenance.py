"""Does what ``pi_hook.system`` says is due: fetches lists, upgrades the system and the agent, restarts the device."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pi_hook import system
from pi_hook.policy import Decided, Decision
from pi_hook.ports import Conditions, ConditionsProbe, Problem, Step, StepResult, SystemRequest
from pi_hook.reasons import Reason
from pi_hook.status import system_status
from pi_hook.stepping import Stepping
from pi_hook.system import Moment, Next, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.clock import Timekeeper
    from pi_hook.config import Settings
    from pi_hook.driver import Driver
    from pi_hook.effects import Facts
    from pi_hook.gatekeeper import Gatekeeper
    from pi_hook.loop import Loop, Timer
    from pi_hook.ports import Hands
    from pi_hook.stepping import Turn
    from pi_hook.system_memory import SystemMemory

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 300.0
"""Between two looks: the wall clock may have been set, the zone changed."""
_DUE_SECONDS = 60.0
"""Between two looks while something is due in the window that is open."""
_WORDS = {Step.LISTS: "lists", Step.SYSTEM: "upgrade"}


@dataclass(frozen=True, slots=True)
class WithUpgrade:
    """``ports.ConditionsProbe``: the real one, and APT_LOCKED while the system is being upgraded.

    apt's own lock is held for a part of that time only.
    """

    real: ConditionsProbe
    upgrading: Callable[[], bool]

    def read(self) -> Conditions:
        """The conditions now."""
        problems = self.real.read().problems
        return Conditions(problems | {Reason.APT_LOCKED} if self.upgrading() else problems)


class Maintenance:
    """The system's own packages, the agent's own upgrade, and restarts of the device."""

    def __init__(
        self,
        *,
        loop: Loop,
        hands: Hands,
        settings: Settings,
        memory: SystemMemory,
        clock: Timekeeper,
        gate: Gatekeeper,
        driver: Driver,
        turn: Turn,
    ) -> None:
        self._loop, self._hands, self._settings, self._memory = loop, hands, settings, memory
        self._clock, self._gate, self._driver, self._turn = clock, gate, driver, turn
        self._stepping = Stepping(loop, hands.steps, self._ended, self._gone, turn)
        self._started = loop.now()
        self._tried: dict[Step, float] = {}
        self._timer: Timer | None = None
        self._untold: StepResult | None = None
        """A result that the disk did not take."""

    @property
    def upgrading(self) -> bool:
        """Whether the system is being upgraded now."""
        work = self._memory.system.at_work
        return work is not None and work.step is Step.SYSTEM

    @property
    def reboot_required(self) -> bool:
        """Whether a package has asked for a restart."""
        return self._hands.machine.reboot_flag() is not None

    def resume(self) -> None:
        """Go on after a start of the daemon, which the upgrade itself may have caused."""
        work = self._memory.system.at_work
        if work is not None:
            self._stepping.join(work.step, self._request(work))
        self._plan(_DUE_SECONDS)

    def gate(self) -> Decision:
        """May other unattended work start now? Not while the agent itself is installing, or is about to."""
        facts = self._driver.facts()
        if self.upgrading or self._driver.comes_first(facts):
            return Decision(Decided.DEFER, Reason.APT_LOCKED)
        return self._gate.for_system(facts)

    def look(self) -> None:
        """Begin what is due."""
        seconds = _LOOK_SECONDS
        if self._untold is not None:
            untold, self._untold = self._untold, None
            self._ended(untold)
        try:
            seconds = self._look()
        except OSError as error:  # nothing was begun that is not on the disk
            _log.error("the system's upgrades wait: %s", error)  # the sentence says it all
        self._plan(seconds)

    def status(self) -> dict[str, Any]:
        """For ``pi-hook status``."""
        flag = self._hands.machine.reboot_flag()
        return {
            "packages": self._settings.system_packages,
            **system_status(self._memory.system),
            "reboot_required": None if flag is None else flag.cause or "a package that is not named",
        }

    def close(self) -> None:
        """Let go of a step that is at work; its unit goes on and is joined at the next start."""
        self._stepping.close()

    def _plan(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(seconds, self.look)

    def _look(self) -> float:
        light = self._moment(None)
        self._memory.keep(system.looked(self._memory.system, light))
        # What the gate would say is asked only where its answer matters: it costs a look at systemd and dpkg.
        if self._next(light) is Next.NOTHING or not self._turn.free_for(self._stepping):
            return _LOOK_SECONDS
        moment = self._moment(self._driver.facts())
        match self._next(moment):
            case Next.LISTS:
                self._begin(Step.LISTS, moment)
            case Next.UPGRADE:
                self._begin(Step.SYSTEM, moment)
            case Next.RESTART:
                self._restart(moment)
        return _LOOK_SECONDS if moment.day is None else _DUE_SECONDS

    def _next(self, moment: Moment) -> Next:
        return system.next_work(self._memory.system, moment, may_restart=self._settings.system_reboot)

    def _moment(self, facts: Facts | None) -> Moment:
        """The situation now; without facts, as if nothing stood in the way."""
        reading = self._clock.read()
        moment = Moment(
            now=reading.wall,
            synchronised=reading.synchronised,
            day=self._gate.open_day(),
            open=True,
            update_first=False,
            running_for=timedelta(seconds=self._loop.now() - self._started),
            since_upgrade=self._since(Step.SYSTEM),
            since_lists=self._since(Step.LISTS),
            flag=self._hands.machine.reboot_flag(),
        )
        if facts is None:
            return moment
        since = self._memory.system.waiting_since
        waiting = max(timedelta(0), reading.wall - since) if since is not None else timedelta(0)
        return replace(
            moment,
            open=self._gate.for_system(facts, waiting).decision is Decided.INSTALL,
            update_first=self._driver.comes_first(facts),
            hindered=Reason.APT_LOCKED in facts.problems,
            metered=Reason.METERED in facts.problems,
        )

    def _since(self, step: Step) -> timedelta | None:
        tried = self._tried.get(step)
        return None if tried is None else timedelta(seconds=self._loop.now() - tried)

    def _request(self, work: Work) -> SystemRequest:
        return SystemRequest(self._settings.assistant, work.packages, work.begun)

    def _begin(self, step: Step, moment: Moment) -> None:
        work = Work(step, self._settings.system_packages, moment.now)
        self._memory.keep(system.begun(self._memory.system, work, moment.day))
        _log.info("the %s of the system begins (%s)", _WORDS[step], work.packages)
        self._stepping.begin(step, self._request(work))

    def _ended(self, result: StepResult) -> None:
        self._tried[result.step] = self._loop.now()
        try:
            self._memory.keep(system.ended(self._memory.system, result, self._clock.read().wall))
        except OSError as error:
            _log.error(
                "the end of the system's %s cannot be kept: %s", _WORDS[result.step], error
            )  # the sentence says it all
            self._untold = result
            return
        _log.info("the %s of the system: %s", _WORDS[result.step], result.message or result.problem or "done")
        self._driver.look_again()
        self._plan(_DUE_SECONDS)

    def _gone(self) -> None:
        """The step that was at work has ended while no daemon ran."""
        work = self._memory.system.at_work
        if work is None:
            return
        left = self._hands.steps.left(work.step, self._request(work))
        words = f"the {_WORDS[work.step]} of the system was interrupted"
        self._ended(left or StepResult(work.step, work.packages, Problem.INTERRUPTED, words))

    def _restart(self, moment: Moment) -> None:
        if moment.flag is None or moment.day is None:
            return
        before = self._memory.system
        self._memory.keep(system.restarting(before, moment.flag, moment.day, moment.now))
        _log.warning("restarting the device for %s", moment.flag.cause or "a package that is not named")
        try:
            self._hands.machine.reboot()
        except OSError as error:
            # It counts all the same: a restart that systemd refuses is not asked for every minute.
            _log.error("%s", error)  # the sentence says it all
