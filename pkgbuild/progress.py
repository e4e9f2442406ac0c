"""What a builder sees while a release is made: numbered steps on standard error, nothing on standard output."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORTH_A_BAR = 1_000_000
"""Bytes from which on a bar is drawn."""
_WIDTH = 30
_PATIENCE_SECONDS = 2.0
_ERASE = "\r\x1b[K"


class Progress:
    """Writes ``[3/8] building deps layers …`` and indented details; bars on a terminal only."""

    def __init__(self, total: int, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        """``quiet``: write nothing."""
        self._quiet = quiet
        self._total = total
        self._number = 0
        self._stream = stream or sys.stderr

    def step(self, words: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._write(f"[{self._number}/{self._total}] {words}\n")

    def detail(self, words: str) -> None:
        """Say something about the present step."""
        self._write(f"      {words}\n")

    def end(self, words: str) -> None:
        """Say how it ended."""
        self._write(f"{words}\n")

    @contextmanager
    def bar(self, doing: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar over ``total`` bytes while the block runs; it is given a function that takes how many more are done."""
        done, drawn = 0, -1

        def advance(count: int) -> None:
            nonlocal done, drawn
            done += count
            filled = _WIDTH * done // total
            if filled != drawn:
                drawn = filled
                bar = "#" * filled + "-" * (_WIDTH - filled)
                self._write(f"{_ERASE}      {doing} [{bar}] {human_size(done)} of {human_size(total)}")

        if total < WORTH_A_BAR or not self._stream.isatty():
            yield lambda _: None
            return
        try:
            yield advance
        finally:
            self._write(_ERASE)

    @contextmanager
    def working(self, doing: str) -> Iterator[None]:
        """Show how long the block has been running, where nobody can know how long it will."""
        if self._quiet or not self._stream.isatty():
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._tick, args=(doing, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _tick(self, doing: str, over: threading.Event) -> None:
        start, told = time.monotonic(), False
        while not over.wait(1 if told else _PATIENCE_SECONDS):
            told = True
            self._write(f"{_ERASE}      {doing}: {time.monotonic() - start:.0f} s")
        if told:
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        if self._quiet:
            return
        self._stream.write(text)
        self._stream.flush()


def human_size(size: int) -> str:
    """``size`` bytes for people: 999 B, 12.3 kB, 56.7 MB (powers of 1000, as apt counts)."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:  # noqa: PLR2004
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
