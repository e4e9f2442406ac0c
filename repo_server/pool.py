"""The threads that answer requests; they know how many requests wait for one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CountingPool(ThreadPoolExecutor):
    """Counts what was submitted and has not begun."""

    def __init__(self, threads: int) -> None:
        super().__init__(max_workers=threads)
        self._counting = threading.Lock()
        self.waiting = 0

    def submit(self, work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As ever."""

        def begin() -> _T:
            with self._counting:
                self.waiting -= 1
            return work(*args, **kwargs)

        with self._counting:
            self.waiting += 1
        return super().submit(begin)


_made: list[CountingPool] = []


def make(threads: int) -> CountingPool:
    """The pool of this process; the one that ``waiting`` asks."""
    _made[:] = [CountingPool(threads)]
    return _made[0]


def waiting() -> int:
    """How many requests wait for a thread of this process."""
    return _made[0].waiting if _made else 0
