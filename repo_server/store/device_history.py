"""What one device has been through: its heartbeats of the last hours, and its way through each update."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from repo_server import answers, wire
from repo_server.store import heartbeats

_UPDATES = """SELECT device_updates.*, name, updates.version, channel, state FROM device_updates
 JOIN updates ON updates.id = update_id WHERE device_id = ? ORDER BY update_id DESC LIMIT ?"""
_EVENTS = """SELECT * FROM (SELECT * FROM device_update_events WHERE device_id = ? AND update_id = ?
 ORDER BY id DESC LIMIT ?) ORDER BY id"""


@dataclass(frozen=True, slots=True)
class Passed:
    """A device's way through one update."""

    update: sqlite3.Row
    """Of ``device_updates``, with the update's name, version, channel and state."""
    events: list[sqlite3.Row]
    """The newest of ``device_update_events``, the oldest of them first."""


def updates(connection: sqlite3.Connection, device_id: str, most: int, events: int) -> list[Passed]:
    """Its ``most`` newest updates, the newest first, each with at most ``events`` events."""
    rows = connection.execute(_UPDATES, (device_id, most)).fetchall()
    return [Passed(row, connection.execute(_EVENTS, (device_id, row["update_id"], events)).fetchall()) for row in rows]


def heartbeats_of(connection: sqlite3.Connection, row: sqlite3.Row, most: int) -> list[answers.Heartbeat]:
    """The ``most`` newest, the newest first."""
    return heartbeats.list_page(connection, row, wire.PageQuery(limit=most)).items
