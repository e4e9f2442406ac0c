"""Commands that must not run inside the daemon's own unit: neither in its sandbox nor ended with it.

``systemd-run`` gives each a transient unit: the system as it is, its own control group, and a limit of time after which
every process of it is killed, grandchildren too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_SYSTEMD = Path("/run/systemd/system")
_GRACE_SECONDS = 15
_OUTPUT_CHARACTERS = 16_384


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    status: int
    """Exit status; negative where it was killed."""
    output: str
    """Both streams together, at most the last 16,384 characters."""
    timed_out: bool = False


def run(
    command: list[str],
    *,
    seconds: float,
    user: str = "",
    group: str = "",
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Done:
    """Run a command to its end or its time limit. Raises ``OSError`` where it could not be started at all."""
    if _SYSTEMD.is_dir():
        properties = [f"RuntimeMaxSec={seconds:g}", "KillMode=control-group", "TimeoutStopSec=5"]
        properties += [f"User={user}"] if user else []
        properties += [f"Group={group}"] if group else []
        properties += [f"WorkingDirectory={folder}"] if folder else []
        options = [f"--property={value}" for value in properties]
        options += [f"--setenv={key}={value}" for key, value in (environment or {}).items()]
        wrapped = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *options, "--", *command]
        # systemd keeps the limit; ours only serves where systemd itself does not answer.
        started = time.monotonic()
        done = _run(wrapped, seconds + _GRACE_SECONDS, None, None)
        return Done(done.status, done.output, done.status != 0 and time.monotonic() - started >= seconds)
    if user:
        command = ["setpriv", f"--reuid={user}", f"--regid={group or user}", "--init-groups", "--", *command]
    return _run(command, seconds, folder, environment)


def _run(command: list[str], seconds: float, folder: Path | None, environment: dict[str, str] | None) -> Done:
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})}
        if environment is not None
        else None,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return Done(process.returncode, output[-_OUTPUT_CHARACTERS:], timed_out=True)
    return Done(process.returncode, output[-_OUTPUT_CHARACTERS:])
