"""Running other programs: errors carry the program's own last words, and root is asked for only where it is needed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Not on the PATH of an ordinary user, who may still make a file system in a file of his own."""


class CommandError(RuntimeError):
    """A program ended with a status other than 0; the message holds the command and the end of its output."""


def run(
    command: Sequence[str | Path],
    *,
    root: bool = False,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> str:
    """Run a program to its end and return its standard output.

    ``root`` puts ``sudo`` in front where we are not root already; ``env`` is added to our own environment;
    ``timeout`` is in seconds. Raises ``CommandError`` on a status other than 0 and when time runs out.
    """
    words = [str(word) for word in command]
    if root and os.geteuid() != 0:
        words = ["sudo", *[f"{key}={value}" for key, value in (env or {}).items()], *words]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PROGRAMS}", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(words)}: not done after {timeout:.0f} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise CommandError(f"{' '.join(words)}: exit status {done.returncode}\n{tail}")
    return done.stdout


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a server of ours to end and wait for that; it is killed where it has not ended after so many seconds."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
