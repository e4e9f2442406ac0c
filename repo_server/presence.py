"""Whether a device is there, by the heartbeats that it has missed. Pure.

A device is ``online`` until ``missed`` heartbeats are missing, then ``late``, and after ``lost`` missing ones ``lost``.
What counts is the interval that it was told with its last answer, so that a longer one makes nobody late. A device that
has registered and was never heard of is late from then on, and lost after a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Presence(StrEnum):
    """Whether a device is there."""

    ONLINE = "online"
    LATE = "late"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """From when on a silent device is late, and lost."""

    late_at: datetime
    lost_at: datetime

    def presence(self, now: datetime) -> Presence:
        """At ``now``; at the deadline itself it is reached."""
        if now >= self.lost_at:
            return Presence.LOST
        return Presence.LATE if now >= self.late_at else Presence.ONLINE


@dataclass(frozen=True, slots=True)
class Tolerance:
    """After how many missed heartbeats a device is late, and lost; ``1 <= late <= lost``."""

    late: int
    lost: int

    def after_heartbeat(self, seen: datetime, interval_seconds: int) -> Deadlines:
        """The deadlines of a device that was seen and told to come again after ``interval_seconds``.

        The next second: what comes in the one in which it is due, is in time.
        """
        return Deadlines(
            seen + timedelta(seconds=self.late * interval_seconds + 1),
            seen + timedelta(seconds=self.lost * interval_seconds + 1),
        )
