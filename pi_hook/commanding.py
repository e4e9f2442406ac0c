"""One command of a release at a time: started, listened to without waiting, told of when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pi_hook.ports import CommandResult, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.loop import Loop
    from pi_hook.ports import ReleaseCommand, RunningCommand, Service


class Commanding:
    """``ended`` is told the result once; a release without such a command is content with it."""

    def __init__(self, loop: Loop, service: Service, ended: Callable[[CommandResult], None]) -> None:
        self._loop, self._service, self._ended = loop, service, ended
        self._running: RunningCommand | None = None

    def begin(self, command: ReleaseCommand, version: str) -> None:
        """Start a command; an earlier one is let go of, and its end not told."""
        self.close()
        try:
            running = self._service.begin(command, version)
        except (ServiceError, OSError) as error:
            self._ended(CommandResult(f"{_what(command)} of {version} could not be started: {error}"))
            return
        if running is None:
            self._ended(CommandResult())
            return
        self._running = running
        self._loop.add_reader(running.fileno(), self._readable)

    def close(self) -> None:
        """Let go."""
        if self._running is not None:
            running, self._running = self._running, None
            self._loop.remove_reader(running.fileno())
            running.close()

    def _readable(self) -> None:
        result = self._running.result() if self._running is not None else None
        if result is not None:
            self.close()
            self._ended(result)


def _what(command: ReleaseCommand) -> str:
    return "the health command" if command == "health" else f"the hook {command}"
