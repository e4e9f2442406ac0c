"""Performs what concerns the releases and the assistant's service, and tells what came of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pi_hook import activation
from pi_hook.commanding import Commanding
from pi_hook.effects import Flip, Restart, RunHook, Shun, StopService, Sweep, Transition, Watch
from pi_hook.ports import ReleaseError, ServiceError
from pi_hook.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pi_hook.clock import Timekeeper
    from pi_hook.effects import Facts
    from pi_hook.loop import Loop
    from pi_hook.ports import CommandResult, Hands
    from pi_hook.state import Ledger
    from pi_hook.update import Device

_log = logging.getLogger(__name__)

Handled = Flip | Restart | RunHook | Shun | StopService | Sweep | Watch


class Handling:
    """``tell`` takes the outcome of an effect as an event of the state machine."""

    def __init__(
        self,
        loop: Loop,
        hands: Hands,
        ledger: Ledger,
        clock: Timekeeper,
        *,
        soak_seconds: float,
        tell: Callable[[Callable[[Device, Facts, datetime], Transition]], None],
    ) -> None:
        self._hands, self._ledger, self._clock, self._tell = hands, ledger, clock, tell
        self._watcher = Watcher(loop, hands.service, soak_seconds, self._watched)
        self._hook = Commanding(loop, hands.service, self._hook_ended)

    def close(self) -> None:
        """Let go of what is watched or at work."""
        self._watcher.stop()
        self._hook.close()

    def handle(self, effect: Handled) -> None:
        """Do it."""
        match effect:
            case Flip(version):
                self._flip(version)
            case Restart(version):
                self._restart(version)
            case StopService():
                self._stop()
            case RunHook(hook, version):
                self._hook.begin(hook, version)
            case Watch(version):
                self._watcher.begin(version, self._hands.releases.terms(version).starting_seconds)
            case Sweep(keep):
                self._sweep(keep)
            case Shun(versions):
                self._shun(versions)

    def _shun(self, versions: frozenset[str]) -> None:
        try:
            self._hands.releases.shun(versions)
        except OSError as error:
            _log.warning("apt cannot be kept away from the versions that failed here: %s", error)

    def _flip(self, version: str) -> None:
        error: str | None = None
        try:
            self._hands.releases.activate(version)
        except (ReleaseError, OSError) as caught:
            error = f"{version} cannot be activated: {caught}"
        journal_time = self._clock.journal_time()
        self._tell(lambda device, facts, now: activation.flipped(device, error, facts, now, journal_time))

    def _hook_ended(self, result: CommandResult) -> None:
        if result.problem is not None:
            _log.warning("%s%s", result.problem, f"; it said: {result.output}" if result.output else "")
        self._tell(lambda device, _facts, now: activation.hook_ended(device, result, now))

    def _stop(self) -> None:
        try:
            self._hands.service.stop()
        except (ServiceError, OSError) as error:
            _log.warning("the service cannot be stopped for its hook: %s", error)

    def _restart(self, version: str) -> None:
        state = self._hands.service.state()
        error: str | None = None
        # In a crash loop systemd may have started the right release itself, just after the flip. Its counter would
        # speak against that release for the whole soak; our own restart sets it to zero.
        if not (state.active and state.release == version and state.restarts == 0):
            try:
                self._hands.service.restart()
            except (ServiceError, OSError) as caught:
                error = f"the service cannot be restarted: {caught}"
        tail = self._tail() if error is not None else None
        self._tell(lambda device, facts, now: activation.restarted(device, error, tail, facts, now))

    def _watched(self, unwell: str | None) -> None:
        tail = self._tail() if unwell is not None else None
        self._tell(lambda device, facts, now: activation.watched(device, unwell, tail, facts, now))

    def _tail(self) -> str | None:
        update = self._ledger.memory.device.update
        since = update.restarted_at if update is not None else None
        try:
            return self._hands.service.journal_tail(since or self._clock.journal_time()) or None
        except (ServiceError, OSError) as error:
            return f"the journal cannot be read: {error}"

    def _sweep(self, keep: frozenset[str]) -> None:
        try:
            removed = self._hands.releases.remove_others(keep)
        except (ReleaseError, OSError) as error:
            _log.warning("old layers stay for now: %s", error)
        else:
            if removed:
                _log.info("removed old layers: %s", " ".join(removed))
