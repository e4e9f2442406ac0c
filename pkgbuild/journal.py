"""What a publishing run is about to change, on disk before it changes anything: a run that is killed leaves it behind.

The next run reads it and finishes or takes back what is half done (``pkgbuild.unfinished``).
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.tomlfile import Table

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "publishing.json"


class Stage(StrEnum):
    """How far the run has come."""

    FILLING = "filling"
    """Packages go into repositories, snapshots are taken; devices see nothing of it."""
    SWITCHING = "switching"
    """Every snapshot is there and was compared; devices may see the new state already."""
    TAKING_BACK = "taking_back"
    """After a failure: devices are given the old state again."""


class Change(Table):
    """One distribution that changes."""

    debian: str
    snapshot: str
    """What it shall publish. Uploaded files lie in a folder of the same name."""
    previous: str | None
    """The snapshot it published before; None where it is new."""


class Entry(Table):
    """One run."""

    title: str
    """For people, as ``sample-assistant 1.2.0 (urgent)``."""
    channel: str
    stage: Stage = Stage.FILLING
    changes: tuple[Change, ...]
    update: dict[str, Any] | None = None
    """What the server is told once all is published; None: nothing."""

    def at(self, stage: Stage) -> Entry:
        """The same run, further on."""
        return self.model_copy(update={"stage": stage})


class Journal:
    """The one entry in a builder's state folder. Its caller holds the publish lock."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def write(self, entry: Entry) -> None:
        """Replace what is there, durably."""
        partial = self._path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(entry.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)
        self._sync_folder()

    def read(self) -> Entry | None:
        """What a run has left, or None. Raises ``PUBLISH_FAILED`` where it cannot be read."""
        try:
            return Entry.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise PkgbuildError(
                Kind.PUBLISH_FAILED,
                f"{self._path} says what a run before has left half done, and cannot be read ({error}). Look with"
                " `pkgbuild list` whether the channel is as it should be, delete the file, and run this again.",
            ) from error

    def clear(self) -> None:
        """Nothing is half done any more."""
        self._path.unlink(missing_ok=True)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
