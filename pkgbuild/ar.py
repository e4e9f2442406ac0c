"""The outer form of a .deb: an ar archive, written by member; reading is python-debian's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"!<arch>\n"


def member(name: str, content: bytes, mtime: int = 0) -> bytes:
    """One member with its header, filled up to an even length; ``name`` has at most 16 characters."""
    header = f"{name:<16}{mtime:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)


def append(path: Path, name: str, content: bytes) -> None:
    """Add a member after the others of an archive that a program has just written."""
    with path.open("r+b") as file:
        if file.seek(0, os.SEEK_END) % 2:
            file.write(b"\n")
        file.write(member(name, content))
