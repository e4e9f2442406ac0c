"""What the server tells the next device: from the size of the fleet, and from an outage of its own."""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime, timedelta

from repo_server.pace import Pace, spread
from repo_server.store import heartbeats

_CROWD = 0.5
"""An outage of this part of an interval makes a crowd of those who could not come meanwhile."""
_CROWD_COMES_WITHIN = 2
"""Intervals after an outage: those who tried in vain try again later and later."""


class Pacer:
    """Held by the application; ``look`` keeps it up to date."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._interval = pace.seconds
        self._last_heard: datetime | None = None
        self._crowd_until: datetime | None = None
        self._chance = random.Random()  # noqa: S311 - nothing secret

    def begin(self, connection: sqlite3.Connection) -> None:
        """Look for the first time: since when has nobody been heard?"""
        self.look(connection)
        self._last_heard = heartbeats.newest_at(connection)

    def look(self, connection: sqlite3.Connection) -> None:
        """How large is the fleet now?"""
        self._interval = self._pace.interval(heartbeats.expected(connection))

    def next_seconds(self, now: datetime) -> int:
        """What to tell the device that is heard at ``now``."""
        if self._last_heard is not None:  # the first since the start
            if (now - self._last_heard).total_seconds() > _CROWD * self._pace.seconds:
                self._crowd_until = now + timedelta(seconds=_CROWD_COMES_WITHIN * self._interval)
            self._last_heard = None
        if self._crowd_until is not None and now < self._crowd_until:
            return spread(self._interval, self._chance.random())
        return self._interval

    def retry_seconds(self) -> int:
        """When a device may try again that could not be heard: not when all the others do."""
        return spread(self._interval // 2, self._chance.random())
