"""What a package leaves behind: a system of ``apt_root`` is an overlay, whose upper folder holds what has changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_THE_SYSTEM = (
    "root/",
    "tmp/",
    "proc/",
    "var/cache/",
    "var/lib/apt/",
    "var/lib/dpkg/",
    "var/log/",
    # a system user stays: a number that files elsewhere may still have is not given away again
    *(f"etc/{name}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid", ".pwd.lock")),
)
"""What dpkg, apt and the system's logs write for any package."""


def state(upper: Path, lower: Sequence[Path] = ()) -> dict[str, str]:
    """What differs from the base system, as path -> content; a file that was there and is gone is a device node.

    overlay copies a folder up whenever something in it changes, so its being there says nothing. A folder that is in
    none of the layers below, where they are given, is new.
    """
    found = {}
    for where, folders, names in os.walk(upper):
        for name in (*folders, *names):
            path = Path(where, name)
            relative = str(path.relative_to(upper))
            if f"{relative}/".startswith(_OF_THE_SYSTEM) or relative.startswith(_OF_THE_SYSTEM):
                continue
            if path.is_symlink():
                found[relative] = f"link {path.readlink()}"
            elif path.is_dir():
                if lower and not any((layer / relative).exists() for layer in lower):
                    found[relative] = "folder"
            else:
                found[relative] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "gone"
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The paths that are there in one alone, or with another content, in order."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
