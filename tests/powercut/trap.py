"""Catches the machine in the middle of writing: the disk holds a write and has not said yet that it has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_HOLD_SECONDS = 60.0


class Trap:
    """``saw`` is called with every write before it is answered, and does not return while a caught one is looked at."""

    def __init__(self) -> None:
        self._left = 0
        self._caught = threading.Event()
        self._let_go = threading.Event()

    def saw(self, _data: bytes) -> None:
        """Count one write, and hold up the one that is waited for."""
        if self._left > 0:
            self._left -= 1
            if self._left == 0:
                self._caught.set()
                self._let_go.wait(LONGEST_HOLD_SECONDS)

    @contextmanager
    def caught(self, writes: int, given_up: Callable[[], bool]) -> Iterator[bool]:
        """Wait for so many writes from now on; while the body runs the last of them is held up.

        Yields False, with nothing held up, where ``given_up`` says so first.
        """
        self._caught.clear()
        self._let_go.clear()
        self._left = writes
        while not self._caught.wait(0.05):
            if given_up():
                self._left = 0
                break
        try:
            yield self._caught.is_set()
        finally:
            self._left = 0
            self._let_go.set()
