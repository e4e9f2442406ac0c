"""A small event loop of one thread: readable descriptors and timers. What is readable comes before what is due.

(``asyncio`` would cost 4 MB of the 19 that the agent may use.)
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_LONGEST_WAIT = 3600.0


@dataclass(order=True, slots=True)
class Timer:
    """Something to do at an instant of the monotonic clock, once."""

    due: float
    number: int
    action: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Do not do it; no matter whether it was done already."""
        self.action = None

    @property
    def pending(self) -> bool:
        """Whether it is still to be done."""
        return self.action is not None


class Loop:
    """Timers run on ``monotonic``, which must count through suspend; ``wait`` is ``selector.select`` but in tests."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        wait: Callable[[selectors.BaseSelector, float], list[tuple[selectors.SelectorKey, int]]] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._wait = wait or (lambda selector, timeout: selector.select(timeout))
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._stopping = False

    def now(self) -> float:
        """The monotonic clock."""
        return self._monotonic()

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something once, so many seconds from now."""
        timer = Timer(self._monotonic() + max(0.0, seconds), next(self._numbers), action)
        heapq.heappush(self._timers, timer)
        return timer

    def add_reader(self, descriptor: int, action: Callable[[], None]) -> None:
        """Do something whenever the descriptor is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, action)

    def remove_reader(self, descriptor: int) -> None:
        """Before the descriptor is closed."""
        self._selector.unregister(descriptor)

    def stop(self) -> None:
        """End ``run`` after the action at hand: what else is readable or due is left for whoever comes next."""
        self._stopping = True

    def run(self) -> None:
        """Until ``stop``."""
        self._stopping = False
        while not self._stopping:
            self.run_once()

    def run_once(self) -> None:
        """Wait for the next event, then do everything that is readable and everything that is due."""
        for key, _ in self._wait(self._selector, self._pause()):
            # systemd ends the programs that wait for our steps together with us: that is not the steps' end.
            if self._stopping:
                return
            key.data()
        now = self._monotonic()
        while not self._stopping and self._timers and self._timers[0].due <= now:
            timer = heapq.heappop(self._timers)
            action, timer.action = timer.action, None
            if action is not None:
                action()

    def close(self) -> None:
        """Give the selector back."""
        self._selector.close()

    def _pause(self) -> float:
        while self._timers and not self._timers[0].pending:
            heapq.heappop(self._timers)
        if not self._timers:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, max(0.0, self._timers[0].due - self._monotonic()))
