"""The fleet in numbers, all from one snapshot of the database."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import answers, times
from repo_server.store import rollouts
from repo_server.store.devices import ACTIVE, PENDING
from repo_server.store.reading import snapshot

_PRESENT = "SELECT count(*), coalesce(sum(late_at > :at), 0), coalesce(sum(lost_at <= :at), 0) FROM presence"
_OF_PENDING = f" JOIN devices ON id = device_id WHERE state = '{PENDING}'"
_HELD = f"SELECT count(*) FROM devices INDEXED BY devices_held WHERE state = '{ACTIVE}' AND hold IS NOT NULL"  # noqa: S608 - our own text
_UPDATES = "SELECT id, name, version, channel, urgency, state FROM updates ORDER BY id DESC"
_STATUSES = "SELECT update_id, status, devices FROM update_counts WHERE devices > 0 ORDER BY update_id, status"


def summary(connection: sqlite3.Connection, now: datetime) -> answers.Fleet:
    """Count; the numbers add up because one read transaction sees one state."""
    with snapshot(connection):
        return _count(connection, now, times.render(now))


def audience_of(connection: sqlite3.Connection, assistant: str, channel: str) -> dict[tuple[str, str], int]:
    """Those of one assistant on one channel, by Debian release and architecture."""
    rows = connection.execute(
        "SELECT debian, architecture, devices FROM audience_counts WHERE assistant = ? AND channel = ?",
        (assistant, channel),
    )
    return {(row["debian"], row["architecture"]): row["devices"] for row in rows}


def _count(connection: sqlite3.Connection, now: datetime, at: str) -> answers.Fleet:
    every = connection.execute(_PRESENT, {"at": at}).fetchone()
    waiting = connection.execute(_PRESENT + _OF_PENDING, {"at": at}).fetchone()
    total, online, lost = (one - other for one, other in zip(every, waiting, strict=True))
    statuses: dict[str, dict[str, int]] = {}
    for row in connection.execute(_STATUSES):
        statuses.setdefault(row["update_id"], {})[row["status"]] = row["devices"]
    stuck = rollouts.stuck_counts(connection)
    updates = [
        answers.UpdateCounts(**dict(row), statuses=statuses.get(row["id"], {}), stuck=stuck.get(row["id"], 0))
        for row in connection.execute(_UPDATES)
    ]
    return answers.Fleet(
        devices=answers.DeviceCounts(
            total=total,
            online=online,
            offline=total - online,
            late=total - online - lost,
            lost=lost,
            pending=waiting[0],
            held=connection.execute(_HELD).fetchone()[0],
        ),
        versions=_by(connection, "active", "active IS NOT NULL"),
        reasons=_by(connection, "gate_reason", "gate_decision = 'defer' AND gate_reason IS NOT NULL"),
        updates=updates,
        server_time=now,
    )


def _by(connection: sqlite3.Connection, column: str, condition: str) -> dict[str, int]:
    rows = connection.execute(
        f"SELECT {column}, count(*) FROM devices WHERE state = ? AND {condition} GROUP BY 1 ORDER BY 1",  # noqa: S608 - our own text
        (ACTIVE,),
    )
    return dict(rows.fetchall())
