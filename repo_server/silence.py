"""Tells those who watch of devices that have fallen silent. Time alone does that, so no transaction notes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from repo_server.db import Database
from repo_server.events import RESET, Bus, Event
from repo_server.store import devices

_MOST = 500
"""More at once are an outage: whoever watches looks at everything anew."""


class Silence:
    """Call ``look`` every now and then."""

    def __init__(self, db: Database, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._bus = bus
        self._clock = clock
        self._since = clock()

    def look(self) -> None:
        """Publish who has become late or lost since the last look, where anybody watches."""
        since, now = self._since, self._clock()
        self._since = now
        if not self._bus.watching or now <= since:
            return
        fallen = devices.fallen_silent(self._db.connection(), since, now, _MOST + 1)
        told = [Event(f"device.{presence}", {"id": device, "at": at}) for device, presence, at in fallen]
        if told:
            self._bus.publish(told if len(told) <= _MOST else [RESET])
