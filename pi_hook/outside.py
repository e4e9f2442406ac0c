"""Commands that must not run inside the daemon's own unit: neither in its sandbox nor ended with it.

``systemd-run`` gives each a transient unit: the system as it is, its own control group, and a limit of time after which
every process of it is killed, grandchildren too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_SYSTEMD = Path("/run/systemd/system")
_GRACE_SECONDS = 15
_KILL_SECONDS = 5
_OUTPUT_CHARACTERS = 16_384
_CHUNK = 65_536
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    status: int
    """Exit status; negative where it was killed."""
    output: str
    """Both streams together, at most the last 16,384 characters."""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A command with everything that its run takes."""

    command: list[str]
    seconds: float
    """The limit of time."""
    user: str = ""
    group: str = ""
    folder: Path | None = None
    environment: dict[str, str] | None = None
    unit: str | None = None
    """A name for its transient unit; one of that name that is still at work is ended first."""


def run(command: list[str], *, seconds: float, user: str = "", environment: dict[str, str] | None = None) -> Done:
    """Run a command to its end or its time limit. Raises ``OSError`` where it could not be started at all."""
    with contextlib.closing(Running(Job(command, seconds, user=user, environment=environment))) as running:
        while (done := running.done()) is None:
            select.select([running.fileno()], [], [])
    return done


class Running:
    """A started command that nobody has to wait for. Raises ``OSError`` where it cannot be started."""

    def __init__(self, job: Job) -> None:
        self._seconds, self._began = job.seconds, time.monotonic()
        self._output = b""
        in_unit = _SYSTEMD.is_dir()
        environment = None if job.environment is None else {"PATH": _PATH, **job.environment}
        self._process = subprocess.Popen(
            _in_unit(job) if in_unit else _by_itself(job),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=None if in_unit else job.folder,
            env=None if in_unit else environment,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._both = select.epoll()
        self._both.register(self._pipe, select.EPOLLIN)
        self._both.register(self._pidfd, select.EPOLLIN)
        self._listening = True

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to ask ``done`` for."""
        return self._both.fileno()

    def done(self) -> Done | None:
        """What it left behind, once it has ended; None while it is at work. Has to be asked for its output to flow."""
        ended = self._process.poll() is not None
        self._read()
        if not ended:
            return None
        status = self._process.returncode
        output = self._output.decode(errors="replace")[-_OUTPUT_CHARACTERS:]
        return Done(status, output, status != 0 and time.monotonic() - self._began >= self._seconds)

    def close(self) -> None:
        """Let go of it; a transient unit that is still at work goes on until its limit."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(_KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._both.close()
        os.close(self._pidfd)
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._process.stdout.close()

    def _read(self) -> None:
        while self._listening:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._both.unregister(self._pipe)
                self._listening = False
            # UTF-8 takes up to four bytes a character.
            self._output = (self._output + data)[-4 * _OUTPUT_CHARACTERS :]


def _in_unit(job: Job) -> list[str]:
    properties = [f"RuntimeMaxSec={job.seconds:g}", "KillMode=control-group", f"TimeoutStopSec={_KILL_SECONDS}"]
    properties += [f"User={job.user}"] if job.user else []
    properties += [f"Group={job.group}"] if job.group else []
    properties += [f"WorkingDirectory={job.folder}"] if job.folder else []
    options = [f"--property={value}" for value in properties]
    options += [f"--setenv={key}={value}" for key, value in (job.environment or {}).items()]
    options += [f"--unit={job.unit}"] if job.unit else []
    started = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *options, "--", *job.command]
    if job.unit:
        started = ["sh", "-c", 'systemctl --quiet stop "$0" 2>/dev/null; exec "$@"', f"{job.unit}.service", *started]
    # systemd keeps the limit; ours only serves where systemd itself does not answer.
    return _limited(started, job.seconds + _GRACE_SECONDS)


def _by_itself(job: Job) -> list[str]:
    command = job.command
    if job.user:
        command = [
            "setpriv",
            f"--reuid={job.user}",
            f"--regid={job.group or job.user}",
            "--init-groups",
            "--",
            *command,
        ]
    return _limited(command, job.seconds)


def _limited(command: list[str], seconds: float) -> list[str]:
    """``timeout`` ends the whole process group, and cannot be forgotten as a timer of ours can."""
    return ["timeout", f"--kill-after={_KILL_SECONDS}", f"{seconds:g}", *command]
