"""What a device tells of itself when it registers."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}


@dataclass(frozen=True, slots=True)
class Host:
    """Static facts of the machine."""

    hostname: str
    debian: str
    """The Debian release's name, ``trixie``."""
    architecture: str
    """Debian's name for it, ``arm64``."""
    model: str | None


def read_host(os_release: Path = Path("/etc/os-release"), model: Path = Path("/proc/device-tree/model")) -> Host:
    """Read them. Raises ``OSError`` where the system has no os-release."""
    return Host(os.uname().nodename or "unnamed", codename(os_release), _architecture(), _model(model))


def codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The Debian release's name; ``unknown`` where the file does not tell. Raises ``OSError`` without the file."""
    lines = os_release.read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME", "unknown").strip("\"'") or "unknown"


def _architecture() -> str:
    try:
        # A 64-bit kernel may run a 32-bit system: dpkg knows, the machine's name does not.
        done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return _MACHINES.get(os.uname().machine, os.uname().machine)
    return done.stdout.strip()


def _model(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None
