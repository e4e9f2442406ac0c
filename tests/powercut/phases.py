"""How far the device is, read off what it writes: its state file passes by on its way to the disk."""

from __future__ import annotations

import re
import time

from pi_hook.update import Phase

OVER = "over"
"""The state without an update."""
PHASES = (*map(str, Phase), OVER)
"""In their order, with those of the way back."""
_MARK = re.compile(rb'"phase": "([a-z]+)"|"update": (null)')


class Phases:
    """``saw`` is told every write; ``entered`` holds when each phase was first written (monotonic seconds)."""

    def __init__(self, wanted: bytes) -> None:
        """``wanted`` has to be in the same write: a word that only states of the update in question hold."""
        self._wanted = wanted
        self.now = ""
        self.entered: dict[str, float] = {}

    def saw(self, data: bytes) -> None:
        """Look at one write."""
        found = _MARK.search(data)
        if found is None or self._wanted not in data:
            return
        phase = OVER if found[2] else found[1].decode()
        if phase == OVER and not self.entered:
            return  # before the offer
        self.now = phase
        self.entered.setdefault(phase, time.monotonic())

    def passed(self, phase: str) -> bool:
        """Whether the device has come to a later phase than this."""
        return any(later in self.entered for later in PHASES[PHASES.index(phase) + 1 :])
