"""The folder of the database's copies: what they are called, which is the newest, which are old."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

_NAME = "repo_server-%Y%m%dT%H%M%SZ.db"


def place(folder: Path, now: datetime) -> Path:
    """Where a copy that is made now goes."""
    return folder / now.strftime(_NAME)


def made(folder: Path) -> dict[Path, datetime]:
    """The copies and when they were made, as their names say; anything else in the folder is not ours."""
    found = {}
    for file in sorted(folder.iterdir()):
        try:
            found[file] = datetime.strptime(file.name, _NAME).replace(tzinfo=UTC)
        except ValueError:
            continue
    return found


def newest(folder: Path) -> datetime | None:
    """When the newest was made; None where there is none."""
    return max(made(folder).values(), default=None)


def delete_older(folder: Path, than: datetime) -> int:
    """Delete the copies that were made before; returns how many. The newest stays in any case."""
    found = made(folder)
    old = [file for file, at in found.items() if at < than and at != max(found.values())]
    for file in old:
        file.unlink()
    return len(old)
