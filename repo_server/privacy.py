"""What is kept about a home, given out and erased."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import answers_identity as answers
from repo_server import enrollment
from repo_server.db import Database
from repo_server.store import audit, homes
from repo_server.store.reading import snapshot

_BATCH = 500
"""Heartbeats deleted in one transaction: others wait no longer for it than for each other."""


def export(db: Database, device_id: str, now: datetime) -> answers.Export:
    """Everything that is kept about a device, from one state of the database. Raises ``NotFoundError``."""
    connection = db.connection()
    with snapshot(connection):
        row = enrollment.device(connection, device_id)
        return answers.Export(
            exported_at=now,
            device=homes.row_of(row),
            heartbeats=homes.heartbeats(connection, device_id),
            updates=homes.of_updates(connection, "device_updates", device_id),
            events=homes.of_updates(connection, "device_update_events", device_id),
            audit=[audit.entry(one) for one in homes.audit(connection, device_id)],
        )


def erase(db: Database, device_id: str, who: str, now: datetime) -> None:
    """Delete what is kept about a home until now; doing it again is harmless. Raises ``NotFoundError``.

    The oldest heartbeats go first: where this is ended in between, the rest is still found the next time.
    """
    enrollment.device(db.connection(), device_id)
    found = homes.heartbeat_ids(db.connection(), device_id)
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        db.write(lambda connection, batch=batch: homes.delete_heartbeats(connection, device_id, batch))  # type: ignore[misc]

    def work(connection: sqlite3.Connection) -> None:
        homes.delete_the_rest(connection, device_id)
        audit.record(connection, now, who, "device.erase", device_id, heartbeats=len(found))

    db.write(work)
