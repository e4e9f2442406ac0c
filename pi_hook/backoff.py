"""How long to wait after a failure: full jitter, so that a fleet does not come back all at once.

The wait before attempt n+1 is drawn evenly from 0 to a ceiling that doubles (here base 30 s, cap 3600 s):

| failures so far | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 and more |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| ceiling in seconds | 30 | 60 | 120 | 240 | 480 | 960 | 1920 | 3600 |

A server's ``Retry-After`` is a lower bound, to which the same jitter is added.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_SHIFT = 30
_LEAST = 1.0
"""Seconds; a draw near 0 must not become a busy loop."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds."""

    base: float = 30.0
    cap: float = 3600.0
    draw: Callable[[], float] = random.random
    """Evenly from [0, 1)."""

    def after(self, failures: int, retry_after: float | None = None) -> float:
        """The wait after so many failures in a row (1 or more)."""
        ceiling = min(self.cap, self.base * (1 << min(failures - 1, _LARGEST_SHIFT)))
        return max(_LEAST, (retry_after or 0.0) + self.draw() * ceiling)


def jittered(seconds: float, draw: Callable[[], float] = random.random) -> float:
    """An interval spread by a tenth to either side."""
    return seconds * (0.9 + 0.2 * draw())
