"""Watches a release that was just started, look by look, until ``pi_hook.soak`` has its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pi_hook.commanding import Commanding
from pi_hook.ports import CommandResult, ReleaseCommand
from pi_hook.soak import Soak, look, looks_well

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.loop import Loop, Timer
    from pi_hook.ports import Service, ServiceState


class Watcher:
    """``verdict`` is told once: None when all was well for the whole soak, else what was wrong."""

    def __init__(
        self, loop: Loop, service: Service, soak_seconds: float, verdict: Callable[[str | None], None]
    ) -> None:
        self._loop, self._service, self._length, self._verdict = loop, service, soak_seconds, verdict
        self._soak: Soak | None = None
        self._timer: Timer | None = None
        self._health = Commanding(loop, service, self._answered)

    @property
    def watching(self) -> str | None:
        """The version being watched."""
        return self._soak.version if self._soak is not None else None

    def begin(self, version: str, starting_seconds: float) -> None:
        """Watch a version from now on; an earlier watch is given up.

        ``starting_seconds``: how long it may take until it looks well for the first time.
        """
        self.stop()
        self._soak = Soak(version, self._length, starting_seconds, self._loop.now())
        self._timer = self._loop.after(0, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._health.close()
        self._soak = self._timer = None

    def _look(self) -> None:
        if self._soak is None:
            return
        state = self._service.state()
        if looks_well(self._soak, state):
            self._health.begin(ReleaseCommand.HEALTH, self._soak.version)
        else:  # by this very state: it may look well an instant later, and nobody has asked the health command then
            self._judge(state, None)

    def _answered(self, health: CommandResult) -> None:
        # Read anew: the health command may have taken its time.
        self._judge(self._service.state(), health.problem)

    def _judge(self, state: ServiceState, health: str | None) -> None:
        if self._soak is None:
            return
        found = look(self._soak, state, health, self._loop.now())
        if found.over:
            self.stop()
            self._verdict(found.unwell)
        else:
            self._soak = found.soak
            self._timer = self._loop.after(found.again_in, self._look)
