"""One publisher at a time: aptly 1.5 loses packages on concurrent calls although each is answered with success."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_POLL_SECONDS = 0.2


@contextmanager
def publishing(path: Path, say: Callable[[str], None], *, patience_seconds: float = 1800) -> Iterator[None]:
    """Hold the publish lock; it ends with the process, however that ends. Raises ``BUSY`` when patience does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(descriptor, path, say, patience_seconds)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, say: Callable[[str], None], patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() >= deadline:
                raise PkgbuildError(
                    Kind.BUSY, f"Another release (process {holder}) has been publishing for long: wait for it ({path})."
                ) from error
            if not told:
                say(f"waiting for another release (process {holder}) to finish publishing")
                told = True
            time.sleep(_POLL_SECONDS)
        else:
            return
