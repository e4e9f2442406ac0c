"""A release that is one ordinary package: ``NAME`` owns its files, and there is no layer and no ``current``.

Such a release cannot be flipped. What is installed is what is active, and a process is of it where it was started after
the files had come (docs/adr/0009-one-ordinary-package.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

from pi_hook import apt_config
from pi_hook.dpkg import PackageState, layers_in, layers_in_depends, query
from pi_hook.files import write_atomic
from pi_hook.names import is_app

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.files import Root

_UNPACKED = "/var/lib/pi-hook/steps/unpacked.json"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SCHEMA = 1
_START_TICKS = 19
"""Of ``/proc/PID/stat``, counted from behind the program's name: ticks since the boot."""


def installed(name: str, root: Root) -> PackageState | None:
    """``NAME`` as dpkg has it, where it is such a package and any part of it is there. Raises ``OSError``."""
    own = next((state for state in query(root, name) if state.package == name and state.present), None)
    if own is None or any(is_app(name, layer) for layer in layers_in_depends(root, name, name)):
        return None
    return own


def cached_deb(name: str, version: str, root: Root) -> Path | None:
    """The .deb of a version of ``NAME`` in the agent's own cache."""
    quoted = version.replace(":", "%3a")
    return next(iter(sorted(root.at(apt_config.ARCHIVES).glob(f"{name}_{quoted}_*.deb"))), None)


def cached_versions(name: str, root: Root) -> list[str]:
    """The versions whose cached .deb is such a package."""
    debs = root.at(apt_config.ARCHIVES).glob(f"{name}_*.deb")
    return [deb.name.split("_")[1].replace("%3a", ":") for deb in debs if is_classic(name, deb)]


def is_classic(name: str, deb: Path) -> bool:
    """Whether a .deb of ``NAME`` owns its files; False where it cannot be read."""
    done = subprocess.run(
        ["dpkg-deb", "--show", "--showformat=${Package}, ${Pre-Depends}, ${Depends}", str(deb)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0 and not any(is_app(name, layer) for layer in layers_in(name, done.stdout))


def note_unpacked(version: str, root: Root) -> None:
    """Remember that all files of this version have come by now; by the clock of this boot, which nobody sets."""
    content = {"schema": _SCHEMA, "version": version, "boot_id": _boot_id(root), "seconds": _since_boot()}
    write_atomic(root.at(_UNPACKED), json.dumps(content) + "\n", 0o600)


def running(name: str, pid: int, root: Root) -> str | None:
    """The version that a process runs; None where ``NAME`` is no such package, or the process is older than it."""
    try:
        own = installed(name, root)
        if own is None or not own.whole:
            return None
        ticks = int(root.at(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[_START_TICKS])
        started = ticks / os.sysconf("SC_CLK_TCK")
        return own.version if started >= _unpacked(own, root) else None
    except (OSError, ValueError, IndexError):  # it has just ended
        return None


def _unpacked(own: PackageState, root: Root) -> float:
    """Seconds after this boot at which the files had come; negative where that was before it."""
    try:
        noted = json.loads(root.at(_UNPACKED).read_text(encoding="utf-8"))
        if noted["version"] == own.version:
            return float(noted["seconds"]) if noted["boot_id"] == _boot_id(root) else -1.0
    except (OSError, ValueError, KeyError, TypeError):
        pass
    # Not by this agent (a person's own apt): dpkg's list of its files, by the wall clock.
    return root.at(f"/var/lib/dpkg/info/{own.package}.list").stat().st_mtime - time.time() + _since_boot()


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id(root: Root) -> str:
    return root.at(_BOOT_ID).read_text(encoding="utf-8").strip()
