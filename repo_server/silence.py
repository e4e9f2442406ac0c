"""Tells those who watch of devices that have fallen silent. Time alone does that, so no transaction notes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from repo_server import times
from repo_server.db import Database
from repo_server.events import RESET, Bus, Event
from repo_server.presence import Presence

_MOST = 500
"""More at once are an outage: whoever watches looks at everything anew."""
_FALLEN = """SELECT device_id, :late AS kind, late_at AS at FROM presence WHERE late_at > :since AND late_at <= :now
 UNION ALL SELECT device_id, :lost, lost_at FROM presence WHERE lost_at > :since AND lost_at <= :now
 ORDER BY at LIMIT :most"""


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
        values = {"late": Presence.LATE, "lost": Presence.LOST, "most": _MOST + 1}
        rows = (
            self._db.connection()
            .execute(_FALLEN, {**values, "since": times.render(since), "now": times.render(now)})
            .fetchall()
        )
        told = [Event(f"device.{row['kind']}", {"id": row["device_id"], "at": row["at"]}) for row in rows]
        if told:
            self._bus.publish(told if len(told) <= _MOST else [RESET])
