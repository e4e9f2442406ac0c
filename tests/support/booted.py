"""A Debian system under a real systemd, booted as a container by systemd-nspawn: seconds, and no virtual machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BOOT_SECONDS = 120


@dataclass(frozen=True)
class Booted:
    """A system that is up; it shares the network of this machine unless systemd-nspawn was told otherwise."""

    leader: int
    """Its first process."""

    @property
    def inside(self) -> list[str]:
        """The words in front of a command that is to run inside."""
        environment = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        return ["nsenter", "--all", "--target", str(self.leader), *environment]

    def run(self, *command: str, check: bool = True, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command inside; both streams together in ``stdout``."""
        done = subprocess.run(
            [*self.inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done


@contextmanager
def booted(root: Path, options: Sequence[str] = ()) -> Iterator[Booted]:
    """The system in ``root``, once it is up; nothing may be mounted there, and no policy keep services down.

    ``options`` are systemd-nspawn's.
    """
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--directory", str(root)]
    command += options
    with (root.parent / "console").open("wb") as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        yield Booted(_leader(process, root.parent / "console"))
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _leader(process: subprocess.Popen[bytes], console: Path) -> int:
    deadline = time.monotonic() + _BOOT_SECONDS
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and time.monotonic() < deadline:
        for leader in map(int, children.read_text().split()):
            asked = ["nsenter", "--all", "--target", str(leader), "systemctl", "is-system-running"]
            state = subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()
            if state in {"running", "degraded"}:
                return leader
        time.sleep(0.2)
    raise RuntimeError(f"the container did not boot: {console.read_text(errors='replace')[-2000:]}")
