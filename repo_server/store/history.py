"""The fleet as it was: one sample an hour, of a bounded number of hours."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta

from repo_server import answers, times, wire
from repo_server.counts import biggest
from repo_server.store.paging import page

HOUR = timedelta(hours=1)
VERSIONS = 20
"""A fleet has few at a time; whatever devices say, a sample stays small."""

_HAVE = "SELECT 1 FROM fleet_samples WHERE hour = ?"
_ADD = """INSERT OR IGNORE INTO fleet_samples (hour, at, online, late, lost, pending, held, versions, other_versions)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PRUNE = """DELETE FROM fleet_samples WHERE hour <> :now
 AND hour <= (SELECT hour FROM fleet_samples ORDER BY hour DESC LIMIT 1 OFFSET :kept)"""
# With ``max`` the other columns are those of the newest row of each group.
_THINNED = """SELECT max(hour) AS newest, * FROM fleet_samples WHERE hour BETWEEN ? AND ? GROUP BY hour / ?
 ORDER BY hour"""


def due(connection: sqlite3.Connection, now: datetime) -> bool:
    """Whether this hour has no sample yet."""
    return connection.execute(_HAVE, (times.hour_of(now),)).fetchone() is None


def add(connection: sqlite3.Connection, fleet: answers.Fleet, kept: int) -> None:
    """Keep ``fleet`` as the sample of its hour, unless there is one, and the newest ``kept`` samples altogether.

    Bounded by their number, not by their age: a clock that is wrong for an hour adds one, and takes at most one away.
    """
    now, devices = fleet.server_time, fleet.devices
    versions, others = biggest(fleet.versions, VERSIONS)
    connection.execute(
        _ADD,
        (times.hour_of(now), times.render(now), devices.online, devices.late, devices.lost, devices.pending,
         devices.held, json.dumps(versions), others),
    )  # fmt: skip
    connection.execute(_PRUNE, {"now": times.hour_of(now), "kept": kept})


def list_page(
    connection: sqlite3.Connection, query: wire.HistoryQuery, now: datetime
) -> answers.Page[answers.FleetSample]:
    """One page of samples, the oldest first; without ``until`` up to now, whatever a wrong clock has left behind."""
    until = query.until if query.until is not None else now + timedelta(seconds=1)
    conditions: list[tuple[str, object] | None] = [("hour <= ?", times.hour_of(until)), ("at < ?", times.render(until))]
    if query.since is not None:
        conditions += [("hour >= ?", times.hour_of(query.since)), ("at >= ?", times.render(query.since))]
    return page(
        connection,
        "SELECT * FROM fleet_samples",
        conditions,
        key="hour",
        limit=query.limit,
        cursor=query.cursor,
        make=_answer,
    )


def thinned(
    connection: sqlite3.Connection, since: datetime, now: datetime, every_hours: int
) -> list[answers.FleetSample]:
    """The newest sample of each ``every_hours`` hours from ``since`` until ``now``, the oldest first."""
    rows = connection.execute(_THINNED, (times.hour_of(since), times.hour_of(now), every_hours))
    return [_answer(row) for row in rows]


def _answer(row: sqlite3.Row) -> answers.FleetSample:
    same = ("at", "online", "late", "lost", "pending", "held", "other_versions")
    return answers.FleetSample(**{name: row[name] for name in same}, versions=json.loads(row["versions"]))
