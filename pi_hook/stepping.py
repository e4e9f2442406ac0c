"""The one step that may be at work: started or joined, waited for without polling, told when it ends."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

from pi_hook.ports import Problem, Step, StepResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.loop import Loop
    from pi_hook.ports import Request, RunningStep, StepRunner

_log = logging.getLogger(__name__)


class Turn:
    """Whose turn it is with apt: an update of the assistant and the system's upgrades go one after the other.

    apt's own locks would see to it as well, but only by failing one of the two. An installation has no turn to wait
    for: the gate was asked for this moment, and it holds an installation back while the system is being upgraded.
    """

    def __init__(self) -> None:
        self._holders: set[object] = set()
        self._waiting: list[Callable[[], None]] = []

    def free_for(self, who: object) -> bool:
        """Whether nobody else is at work."""
        return not self._holders - {who}

    def take(self, who: object) -> None:
        """It is at work now (also by joining what had been started before)."""
        self._holders.add(who)

    def wait(self, then: Callable[[], None]) -> None:
        """Be called once when it is free again."""
        self._waiting.append(then)

    def give_back(self, who: object) -> None:
        """It has ended."""
        self._holders.discard(who)
        if not self._holders:
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then()


class Stepping:
    """``ended`` is told the result, whatever it is; ``gone`` that a step to join is not at work."""

    def __init__(
        self,
        loop: Loop,
        steps: StepRunner,
        ended: Callable[[StepResult], None],
        gone: Callable[[], None],
        turn: Turn,
    ) -> None:
        self._loop, self._steps, self._ended, self._gone, self._turn = loop, steps, ended, gone, turn
        self._running: RunningStep | None = None

    @property
    def at_work(self) -> bool:
        """Whether a step is."""
        return self._running is not None

    def begin(self, step: Step, request: Request) -> None:
        """Start a step, once it is its turn.

        One that is still at work for an earlier update is waited for, and its end told instead.
        """
        if self._running is not None:
            return
        if step is not Step.INSTALL and not self._turn.free_for(self):
            self._turn.wait(lambda: self.begin(step, request))
            return
        try:
            running = self._steps.start(step, request)
        except OSError as error:
            self._ended(StepResult(step, request.version, problem_of(error), f"the {step} cannot be started: {error}"))
        else:
            self._attach(running)

    def join(self, step: Step, request: Request) -> None:
        """Join a step that an earlier run of the daemon started."""
        try:
            running = self._steps.join(step, request)
        except OSError as error:
            _log.warning("the %s cannot be joined: %s", step, error)
            running = None
        if running is None:
            self._gone()
        else:
            self._attach(running)

    def close(self) -> None:
        """Let go; the step's unit goes on and is joined at the next start."""
        if self._running is not None:
            running, self._running = self._running, None
            self._loop.remove_reader(running.fileno())
            running.close()

    def _attach(self, running: RunningStep) -> None:
        self._running = running
        self._turn.take(self)
        self._loop.add_reader(running.fileno(), self._readable)

    def _readable(self) -> None:
        if self._running is None:
            return
        result = self._running.result()
        self.close()
        if result.problem is not None:
            _log.warning("%s of %s: %s: %s", result.step, result.version, result.problem, result.message)
        self._ended(result)
        if not self.at_work:
            self._turn.give_back(self)


def problem_of(error: Exception) -> Problem:
    """What an error of the system means for a step."""
    number = error.errno if isinstance(error, OSError) else None
    return {errno.ENOSPC: Problem.DISK_FULL, errno.EROFS: Problem.READ_ONLY_ROOT}.get(number or 0, Problem.INTERRUPTED)
