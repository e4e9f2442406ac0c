"""The commands that a release brings along in ``release.json``: its health command and its hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pi_hook import outside
from pi_hook.ports import CommandResult, ReleaseCommand
from pi_hook.redact import redact, tail
from pi_hook.release_dir import read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_SECONDS = {ReleaseCommand.HEALTH: 10.0}
_HOOK_SECONDS = 60.0
_HOOK_UNIT = "pi-hook-release-hook"
"""One name for all hooks: one that a daemon left at work when it was killed is ended before it is run again."""
_LINE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``release.json`` asks to be run."""

    words: str
    """What it is called in sentences: ``the health command``."""
    command: list[str]
    seconds: float
    environment: dict[str, str]
    unit: str | None


def wanted(which: ReleaseCommand, folder: Path, version: str, state_folder: str) -> Wanted | None:
    """What the release in ``folder`` asks for; None where it asks for nothing.

    Raises ``ValueError`` where release.json cannot be read.
    """
    record = read_record(folder)
    health = which is ReleaseCommand.HEALTH
    words = "the health command" if health else f"the hook {which}"
    try:
        entry = record.get("health" if health else "hooks")
        if entry is None:
            return None
        given = entry["command"] if health else entry.get(str(which))
        if given is None and not health:
            return None
        command = [str(word) for word in given]
        program = command[0]
        seconds = float(entry.get("timeout_seconds", _SECONDS.get(which, _HOOK_SECONDS)))
        environment = {str(key): str(value) for key, value in (record.get("environment") or {}).items()}
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"release.json of {version} names {words} in an unusable form: {error!r}") from error
    if program == "python":
        # The launcher knows the target's interpreter and the release's import path.
        command = [str(folder / "run"), "--python", *command[1:]]
    elif "/" in program and not program.startswith("/"):
        command[0] = str(folder / program)  # systemd-run takes no relative program
    told = {"PI_OTA_RELEASE": version, "PI_OTA_RELEASE_DIR": str(folder), "STATE_DIRECTORY": state_folder}
    return Wanted(words, command, seconds, {**told, **environment}, None if health else _HOOK_UNIT)


class Running:
    """``ports.RunningCommand``, outside of the daemon's unit. Raises ``OSError`` where it cannot be started."""

    def __init__(
        self, wanted: Wanted, *, user: str, group: str, folder: Path, secrets: Callable[[], Sequence[str]]
    ) -> None:
        self._wanted, self._secrets = wanted, secrets
        job = outside.Job(
            wanted.command,
            wanted.seconds,
            user=user,
            group=group,
            folder=folder,
            environment=wanted.environment,
            unit=wanted.unit,
        )
        self._running = outside.Running(job)

    def fileno(self) -> int:
        """For a selector."""
        return self._running.fileno()

    def result(self) -> CommandResult | None:
        """The result, once ended."""
        done = self._running.done()
        if done is None:
            return None
        # Redacted before it is cut: half a secret would not be recognised.
        output = redact(done.output, [*self._secrets()])
        if done.timed_out:
            return CommandResult(f"{self._wanted.words} did not answer within {self._wanted.seconds:g} s", output)
        if done.status != 0:
            last = " ".join(tail(output, _LINE_CHARACTERS).split())
            return CommandResult(
                f"{self._wanted.words} ended with {done.status}" + (f": {last}" if last else ""), output
            )
        return CommandResult(None, output)

    def close(self) -> None:
        """Let go of it."""
        self._running.close()
