"""What a builder sees while a release is made: numbered steps on standard error, nothing on standard output."""

from __future__ import annotations

import sys
from typing import TextIO


class Progress:
    """Writes ``[3/8] building deps layers …`` and indented details."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._total = total
        self._number = 0
        self._stream = stream or sys.stderr

    def step(self, words: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._write(f"[{self._number}/{self._total}] {words}")

    def detail(self, words: str) -> None:
        """Say something about the present step."""
        self._write(f"      {words}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def human_size(size: int) -> str:
    """``size`` bytes for people: 999 B, 12.3 kB, 56.7 MB (powers of 1000, as apt counts)."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:  # noqa: PLR2004
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
