"""What forbids installing right now, apart from time and use (``ports.Conditions``)."""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pi_hook.files import Root
from pi_hook.ports import Conditions

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

FREE_MARGIN_BYTES = 64 * 1024 * 1024
"""Kept free beyond what a transaction needs: dpkg writes its database anew several times, and logs grow meanwhile."""
_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")
_WRITTEN = ("/usr", "/var/lib/dpkg", "/var/lib/pi-hook")
_NMCLI_SECONDS = 5
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid


class SystemConditions:
    """``ports.ConditionsProbe`` over the running system; reads a few files and opens two locks for an instant."""

    def __init__(self, root: Root | None = None, *, needed_bytes: int = FREE_MARGIN_BYTES) -> None:
        self._root = root or Root()
        self._needed = needed_bytes

    def read(self) -> Conditions:
        """The conditions now. A test that itself fails forbids nothing: installing finds out safely."""
        tests: dict[str, Callable[[], bool]] = {
            "DISK_FULL": lambda: free_bytes(self._root.at("/usr")) < self._needed,
            "READ_ONLY_ROOT": lambda: any(not writable_for_good(self._root.at(path)) for path in _WRITTEN),
            "APT_LOCKED": lambda: lock_holder(self._root) is not None,
            "ON_BATTERY": lambda: on_battery(self._root),
            "METERED": lambda: metered(self._root),
        }
        problems = set()
        for word, test in tests.items():
            try:
                if test():
                    problems.add(word)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                _log.warning("cannot tell whether %s: %s", word, error)
        return Conditions(frozenset(problems))


def free_bytes(path: Path) -> int:
    """Bytes that may still be written where ``path`` lies, the reserve of root left alone."""
    figures = os.statvfs(_existing(path))
    return figures.f_bavail * figures.f_frsize


def writable_for_good(path: Path) -> bool:
    """False on a read-only mount, and on an overlay over memory, whose writes are gone with the next boot."""
    mount = _mount_of(_existing(path))
    if mount is None:
        return True
    kind, options = mount
    return "ro" not in options.split(",") and not (kind == "overlay" and _upper_in_memory(options))


def lock_holder(root: Root) -> int | None:
    """The process that holds one of dpkg's locks (0 where the kernel does not tell), or None; takes no lock."""
    for path in _LOCKS:
        try:
            descriptor = os.open(root.at(path), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # no lock file: dpkg never ran; read-only: another condition's matter
        try:
            wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, holder = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted))
        finally:
            os.close(descriptor)
        if kind != fcntl.F_UNLCK:
            return max(int(holder), 0)
    return None


def on_battery(root: Root) -> bool:
    """Whether the system runs on a battery: one discharges, and no supply from outside is there."""
    discharging = False
    for supply in root.at("/sys/class/power_supply").glob("*"):
        kind = _first_line(supply / "type")
        if _first_line(supply / "scope") == "Device":
            continue  # a mouse's battery is not ours
        if kind in {"Mains", "USB"} and _first_line(supply / "online") == "1":
            return False
        discharging |= kind == "Battery" and _first_line(supply / "status") == "Discharging"
    return discharging


def metered(root: Root) -> bool:
    """Whether NetworkManager, where it runs, calls the connection metered."""
    if not root.at("/run/NetworkManager").is_dir():
        return False
    try:
        done = subprocess.run(
            ["nmcli", "--terse", "--fields", "GENERAL.METERED", "device", "show"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_NMCLI_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return False
    return any(line.partition(":")[2].startswith("yes") for line in done.stdout.splitlines())


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _mount_of(path: Path) -> tuple[str, str] | None:
    """File-system type and options of the mount that holds ``path``."""
    best: tuple[int, str, str] | None = None
    real = str(path.resolve())
    for line in _mounts():
        _, point, kind, options, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= best[0]):
            best = (len(point), kind, options)
    return best[1:] if best else None


def _mounts() -> list[str]:
    """The mounts as PID 1 sees them: in the daemon's own sandbox all of ``/usr`` is read-only."""
    for process in ("1", "self"):
        try:
            return Path(f"/proc/{process}/mounts").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
    return []


def _upper_in_memory(options: str) -> bool:
    upper = next((o.partition("=")[2] for o in options.split(",") if o.startswith("upperdir=")), "")
    if not upper:
        return True  # an overlay without an upper folder is read-only
    # Raspberry Pi OS's overlayroot keeps its upper folder in a tmpfs that is hidden from the running system.
    return not Path(upper).exists() or any(
        upper.startswith(prefix) for prefix in ("/run/", "/media/root-rw", "/overlay")
    )


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
