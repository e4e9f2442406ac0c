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


def summary(connection: sqlite3.Connection, now: datetime) -> answers.Fleet:
    """Count; the numbers add up because one read transaction sees one state."""
    with snapshot(connection):
        return _count(connection, now, times.render(now))


def _count(connection: sqlite3.Connection, now: datetime, at: str) -> answers.Fleet:
    total, online, lost = (
        every - waiting
        for every, waiting in zip(
            connection.execute(_PRESENT, {"at": at}).fetchone(),
            connection.execute(_PRESENT + _OF_PENDING, {"at": at}).fetchone(),
            strict=True,
        )
    )
    statuses: dict[str, dict[str, int]] = {}
    for row in connection.execute("SELECT update_id, status, count(*) AS n FROM device_updates GROUP BY 1, 2"):
        statuses.setdefault(row["update_id"], {})[row["status"]] = row["n"]
    stuck = rollouts.stuck_counts(connection)
    updates = [
        answers.UpdateCounts(
            **{key: row[key] for key in ("id", "name", "version", "channel", "urgency", "state")},
            statuses=statuses.get(row["id"], {}),
            stuck=stuck.get(row["id"], 0),
        )
        for row in connection.execute("SELECT * FROM updates ORDER BY id DESC")
    ]
    return answers.Fleet(
        devices=answers.DeviceCounts(
            total=total, online=online, offline=total - online, late=total - online - lost, lost=lost
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
