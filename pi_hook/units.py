"""Starting steps in systemd units of their own, and waiting for them without a thread (``ports.StepRunner``)."""

from __future__ import annotations

import logging
import os
import subprocess

from pi_hook.files import Root
from pi_hook.ports import Problem, Request, Step, StepResult
from pi_hook.step_files import Ticket, read_request, read_result, write_request

_log = logging.getLogger(__name__)

_SHOW_SECONDS = 15
_CLOSE_SECONDS = 5
_AT_WORK = {"active", "activating", "deactivating", "reloading"}


def unit_of(step: Step) -> str:
    """The name of a step's unit."""
    return f"pi-hook-{step}.service"


class SystemdStep:
    """``ports.RunningStep``: a child ``systemctl start`` that ends with the unit, which itself outlives it and us."""

    def __init__(self, step: Step, ticket: Ticket, root: Root) -> None:
        self._step = step
        self._ticket = ticket
        self._root = root
        self._client = subprocess.Popen(
            ["systemctl", "start", unit_of(step)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            self._pidfd = os.pidfd_open(self._client.pid)
        except OSError:
            self._client.terminate()
            self._client.communicate()
            raise

    def fileno(self) -> int:
        """A descriptor that becomes readable when the unit has ended."""
        return self._pidfd

    def result(self) -> StepResult:
        """The result of exactly this request; ``INTERRUPTED`` where the unit left none. Waits for the end."""
        _, words = self._client.communicate()
        try:
            return read_result(self._root, self._step, self._ticket)
        except ValueError as error:
            said = " ".join((words or "").split())
            message = f"{unit_of(self._step)} left no result ({error}){': ' + said if said else ''}"
            return StepResult(self._step, self._ticket.request.version, Problem.INTERRUPTED, message)

    def close(self) -> None:
        """Release the descriptor and our client; a unit still at work goes on."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._client.poll() is None:
            self._client.terminate()
        try:
            self._client.communicate(timeout=_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.communicate()


class SystemdSteps:
    """``ports.StepRunner`` over ``pi-hook-STEP.service``."""

    def __init__(self, root: Root | None = None) -> None:
        self._root = root or Root()

    def start(self, step: Step, request: Request) -> SystemdStep:
        """Start a step, or join it where its unit is still at work for the same request.

        A unit at work for another request is not disturbed: the step waits for its end, then has no result of its own
        (``INTERRUPTED``), and the next start begins afresh. Raises ``OSError`` where systemctl cannot be run or the
        request cannot be written.
        """
        if self._at_work(step):
            if joined := self.join(step, request):
                return joined
            _log.warning("%s is at work for another request; waiting for its end", unit_of(step))
            return SystemdStep(step, Ticket("", request), self._root)
        ticket = Ticket(os.urandom(16).hex(), request)
        write_request(self._root, step, ticket)
        return SystemdStep(step, ticket, self._root)

    def left(self, step: Step, request: Request) -> StepResult | None:
        """What the unit has left for exactly this request."""
        try:
            ticket = read_request(self._root, step)
            return read_result(self._root, step, ticket) if ticket.request == request else None
        except ValueError:
            return None

    def join(self, step: Step, request: Request) -> SystemdStep | None:
        """The step where its unit is still at work for this request, else None: never starts anything."""
        try:
            ticket = read_request(self._root, step)
        except ValueError:
            return None
        if ticket.request != request or not self._at_work(step):
            return None
        # For a unit that is at work `systemctl start` starts nothing: it waits for the job that is there.
        return SystemdStep(step, ticket, self._root)

    def _at_work(self, step: Step) -> bool:
        try:
            done = subprocess.run(
                ["systemctl", "show", "--property=ActiveState", "--value", unit_of(step)],
                capture_output=True,
                text=True,
                check=False,
                timeout=_SHOW_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise OSError(f"systemd does not answer: {error}") from error
        return done.stdout.strip() in _AT_WORK
