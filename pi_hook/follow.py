"""Following an override from the command line: what it waits for, and how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pi_hook.errors import EXIT_NOT_NOW, EXIT_OK, NoDaemonError
from pi_hook.reasons import WORDS, Reason
from pi_hook.talk import ask, connected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PAUSE = 1.0
_MOST_SILENCE = 300.0
"""Seconds: the daemon may wait that long for a restart of the assistant, or be restarted itself by an upgrade."""
_WORDS = {
    "granted": "waits to look into the repository",
    "refreshing": "looks into the repository",
    "refreshed": "waits to download",
    "downloading": "is being downloaded",
    "installing": "is being installed",
    "preparing": "prepares its activation",
    "activating": "is being activated",
    "restarting": "is being started",
    "verifying": "runs and is being watched",
    "returning": "is being left",
    "reinstalling": "is being left; the release before it is being installed again",
    "rechecking": "was left; the release before it runs and is being watched",
}


def override(
    socket: Path,
    command: str,
    good: str,
    say: Callable[[str], None],
    **fields: Any,  # noqa: ANN401  # JSON
) -> int:
    """Ask for it and follow it to its end; the exit status is 0 where that is the outcome ``good``.

    Raises ``PiHookError`` with the daemon's words where it refuses. Ending this early ends nothing on the device.
    """
    with connected(socket) as channel:
        answer = ask(channel, command, **fields)
    version, before = answer["version"], answer["newest"]
    said = None
    while True:
        status = _status(socket)
        update, newest = status["update"], next(iter(status["history"]), None)
        if newest is not None and newest != before and newest["version"] == version:
            say(
                f"{version} {newest['outcome'].replace('_', ' ')}"
                + (f": {newest['detail']}" if newest["detail"] else "")
            )
            return EXIT_OK if newest["outcome"] == good else EXIT_NOT_NOW
        if update is None or update["version"] != version:
            say(f"{version} is not offered to this device any more")
            return EXIT_NOT_NOW
        words = f"{version} {_at(update, status['gate'])}"
        if words != said:
            said = words
            say(words)
        time.sleep(_PAUSE)


def _at(update: dict[str, Any], gate: dict[str, Any]) -> str:
    if update["blocked"] is not None:
        return f"is waiting: {update['blocked']}, {WORDS[Reason(update['blocked'])]}"
    if update["phase"] in {"downloaded", "installed"}:
        return f"is {gate['words']}"
    return _WORDS.get(update["phase"], f"is {update['phase']}")


def _status(socket: Path) -> dict[str, Any]:
    until = time.monotonic() + _MOST_SILENCE
    while True:
        try:
            with connected(socket) as channel:
                status: dict[str, Any] = ask(channel, "status")["status"]
                return status
        except NoDaemonError:
            if time.monotonic() >= until:
                raise
        time.sleep(_PAUSE)
