"""The folder of one run's files, which goes with the run; one that a killed run has left goes with the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in ``parent``; removes those of runs that have ended without doing so."""
    parent.mkdir(parents=True, exist_ok=True)
    with _held(parent):  # or another run would sweep ours away before it is held
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        held = _open(folder)
        fcntl.flock(held, fcntl.LOCK_EX)  # ends with the process, however that ends
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _sweep(parent: Path) -> None:
    for folder in parent.iterdir():
        if not folder.is_dir():
            continue
        held = _open(folder)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # of a run that goes on
            pass
        finally:
            os.close(held)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    descriptor = _open(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
