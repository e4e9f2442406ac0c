"""When the assistant was last used, and whether it is busy: one log, fed by every source, on the monotonic clock.

The clock is CLOCK_BOOTTIME, which starts with the boot: idle counts from boot until there is activity. So that a
restart of the daemon does not make a user look idle, the last activity is kept in ``/run``, which a boot empties.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from pathlib import Path

_log = logging.getLogger(__name__)
LONGEST_BUSY_SECONDS = 7200.0
"""A busy period ends at the latest then (DESIGN.md, "The gate")."""
_KEPT_EVERY = 10.0
"""Seconds between writes of the last activity; a restarted daemon may take it for this much older than it was."""


class Source(Protocol):
    """Somewhere activity is seen. ``note`` may be called from any thread."""

    name: str
    problem: str | None
    """Why it is not available, for people; None while it is."""

    def open(self, note: Callable[[], None]) -> None:
        """Begin, or try again after a problem; sets ``problem`` and never raises."""

    def poll(self) -> None:
        """Take in what has happened and was not told yet."""

    def fileno(self) -> int | None:
        """A descriptor that becomes readable with activity, where there is one."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Busy:
    """One sender's busy period."""

    until: float
    """On the monotonic clock; the cap where the sender named no end."""
    ends: bool
    """Whether the sender named an end."""
    why: str


class ActivityLog:
    """What the gate asks: ``idle`` and ``busy``."""

    def __init__(
        self, monotonic: Callable[[], float], sources: Iterable[Source] = (), kept: Path | None = None
    ) -> None:
        self._monotonic = monotonic
        self.sources = tuple(sources)
        self._kept = kept
        self._kept_at = float("-inf")
        self._last = self._load()
        self._busy: dict[Hashable, Busy] = {}
        for source in self.sources:
            source.open(self.note)

    def note(self) -> None:
        """Somebody used the assistant just now."""
        self._last = self._monotonic()
        if self._kept is not None and self._last - self._kept_at >= _KEPT_EVERY:
            self._kept_at = self._last
            try:
                self._kept.write_text(f"{self._last}\n", encoding="ascii")
            except OSError as error:
                _log.warning("the last activity cannot be kept in %s: %s", self._kept, error)

    def idle(self) -> timedelta | None:
        """Time without activity; None (unknown) where sources are configured and every one of them is unavailable."""
        for source in self.sources:
            source.poll()
        if self.sources and all(source.problem is not None for source in self.sources):
            return None
        return timedelta(seconds=max(0.0, self._monotonic() - self._last))

    def reopen(self) -> None:
        """Try the unavailable sources again (a device that was plugged in later)."""
        for source in self.sources:
            if source.problem is not None:
                source.open(self.note)

    def begin_busy(self, sender: Hashable, seconds: float | None, why: str) -> None:
        """A sender is busy until it says ``free``, goes away, or its time (at most two hours) is over."""
        length = LONGEST_BUSY_SECONDS if seconds is None else min(seconds, LONGEST_BUSY_SECONDS)
        self._busy[sender] = Busy(self._monotonic() + length, seconds is not None, why)

    def end_busy(self, sender: Hashable) -> bool:
        """The sender is free or gone; False where it was not busy."""
        return self._busy.pop(sender, None) is not None

    def end_all_busy(self) -> int:
        """A person ends every busy period; how many there were."""
        count = len(self.busy())
        self._busy.clear()
        return count

    def busy(self) -> list[Busy]:
        """The busy periods now, the one that lasts longest first."""
        now = self._monotonic()
        self._busy = {sender: busy for sender, busy in self._busy.items() if busy.until > now}
        return sorted(self._busy.values(), key=lambda busy: busy.until, reverse=True)

    def busy_for(self) -> timedelta | None:
        """How much longer, where every sender named an end."""
        periods = self.busy()
        if not periods or not all(busy.ends for busy in periods):
            return None
        return timedelta(seconds=periods[0].until - self._monotonic())

    def close(self) -> None:
        """Give pins and devices back."""
        for source in self.sources:
            source.close()

    def _load(self) -> float:
        if self._kept is None:
            return 0.0
        try:
            last = float(self._kept.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0
        # Up to _KEPT_EVERY of later activity may not have been written.
        return min(self._monotonic(), last + _KEPT_EVERY) if last >= 0 else 0.0
