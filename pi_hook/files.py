"""Files written so that a power cut leaves the old content or the new, never half of one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Root:
    """The file system to work on: ``/`` on a device, a temporary folder in tests."""

    path: Path = Path("/")

    def at(self, absolute: str) -> Path:
        """The place of an absolute path of the device under this root."""
        return self.path / absolute.lstrip("/")


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: str, mode: int = 0o644) -> bool:
    """Write a whole file durably under a temporary name and rename it over ``path``; make its folder where missing.

    Returns False, and writes nothing, where content and mode are already these (flash wears out).
    """
    data = content.encode()
    try:
        if path.stat().st_mode & 0o7777 == mode and path.read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    # A leading dot: apt's folders ignore such a file should a power cut leave it behind; the next write reuses it.
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchmod(stream.fileno(), mode)
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
    return True


def remove_durably(path: Path) -> bool:
    """Remove a file; True where there was one."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True
