"""Heartbeats: as what is known of the device now, and as its history.

The history is only ever appended to, and cleared from its beginning: each heartbeat names the one before it of the same
device, and the device's row the newest.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import answers, events, times, wire
from repo_server.errors import InvalidError
from repo_server.presence import Deadlines
from repo_server.store.paging import decode, encode

_DEVICE = """SELECT rowid, id, token_sha256, state, channel, group_name, hold, timezone_override, debian, architecture,
 agent_version, timezone, assistant, installed, active, boot_id, gate_decision, gate_reason, update_id, update_status,
 last_heartbeat_id, rotation_requested_at, last_seen_at, boot_overlaps,
 cloned_suspected_at, reboot_required_since, clock_unsynchronised_since FROM devices WHERE id = ?"""
_ADD = """INSERT INTO heartbeats (device_id, previous_id, received_at, sent_at, boot_id, clock_synchronised,
 uptime_seconds, agent_version, installed, active, idle_seconds, gate_decision, gate_reason, gate_retry_at, update_id,
 update_status, reboot_required) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# What is in an index or seldom changes is written only where it has: an index is written whenever it is assigned to.
_SEEN = """UPDATE devices SET last_seen_at = ?, interval_seconds = ?, last_heartbeat_id = ?, clock_synchronised = ?,
 uptime_seconds = ?, idle_seconds = ?, gate_retry_at = ?, reboot_required = ? WHERE rowid = ?"""
_PRESENT = "UPDATE presence SET late_at = ?, lost_at = ? WHERE device_id = ?"
_SELDOM = ("boot_id", "agent_version", "timezone", "assistant", "installed", "active", "gate_decision", "gate_reason",
           "update_id", "update_status", "reboot_required_since", "clock_unsynchronised_since", "debian")  # fmt: skip
_CHANGED = f"UPDATE devices SET {', '.join(f'{name} = ?' for name in _SELDOM)} WHERE rowid = ?"  # noqa: S608 - our own columns

# The newest stays, or its number would be given again; numbers and times grow together.
_DELETE = """DELETE FROM heartbeats WHERE id IN (SELECT id FROM heartbeats ORDER BY id LIMIT ?) AND received_at < ?
 AND id < (SELECT max(id) FROM heartbeats)"""

_LARGEST = 2**63 - 1
_BEFORE = "SELECT previous_id FROM heartbeats WHERE id = ? AND device_id = ?"
_PAGE = """WITH RECURSIVE chain (number) AS (SELECT :number UNION ALL
 SELECT previous_id FROM chain JOIN heartbeats ON id = number WHERE device_id = :device)
 SELECT heartbeats.* FROM chain JOIN heartbeats ON id = number WHERE device_id = :device LIMIT :most"""


def find_device(connection: sqlite3.Connection, device_id: str) -> sqlite3.Row | None:
    """What a heartbeat needs of the device's row."""
    row: sqlite3.Row | None = connection.execute(_DEVICE, (device_id,)).fetchone()
    return row


def record(
    connection: sqlite3.Connection,
    device: sqlite3.Row,
    beat: wire.Heartbeat,
    *,
    interval_seconds: int,
    deadlines: Deadlines,
    now: datetime,
) -> None:
    """Keep a heartbeat of ``device`` (from ``find_device``, in the same transaction)."""
    at = times.render(now)
    gate, update, assistant = beat.gate, beat.update, beat.assistant
    decision, reason = (gate.decision, gate.reason) if gate else (None, None)
    retry_at = times.render(gate.retry_at) if gate and gate.retry_at else None
    update_id, update_status = (update.id, update.status) if update else (None, None)
    added = connection.execute(
        _ADD,
        (device["id"], device["last_heartbeat_id"], at, times.render(beat.sent_at), beat.boot_id,
         beat.clock_synchronised, beat.uptime_seconds, beat.agent_version, assistant.installed, assistant.active,
         beat.idle_seconds, decision, reason, retry_at, update_id, update_status, beat.reboot_required),
    )  # fmt: skip
    connection.execute(
        _SEEN,
        (at, interval_seconds, added.lastrowid, beat.clock_synchronised, beat.uptime_seconds, beat.idle_seconds,
         retry_at, beat.reboot_required, device["rowid"]),
    )  # fmt: skip
    connection.execute(_PRESENT, (times.render(deadlines.late_at), times.render(deadlines.lost_at), device["id"]))
    seldom = (beat.boot_id, beat.agent_version, beat.timezone, assistant.name, assistant.installed, assistant.active,
              decision, reason, update_id, update_status,
              (device["reboot_required_since"] or at) if beat.reboot_required else None,
              None if beat.clock_synchronised else (device["clock_unsynchronised_since"] or at),
              beat.debian or device["debian"])  # fmt: skip
    # By the interval of now: a device that was told a longer one before may be said to be back once too often.
    if device["last_seen_at"] is None or device["last_seen_at"] <= times.render(now - (deadlines.late_at - now)):
        events.note(connection, "device.online", id=device["id"], at=at)
    if seldom != tuple(device[name] for name in _SELDOM):
        connection.execute(_CHANGED, (*seldom, device["rowid"]))


def delete_before(connection: sqlite3.Connection, before: datetime, most: int) -> int:
    """Delete the oldest heartbeats, at most ``most`` and none received at ``before`` or later; returns how many."""
    return connection.execute(_DELETE, (most, times.render(before))).rowcount


def list_page(
    connection: sqlite3.Connection, device: sqlite3.Row, query: wire.PageQuery
) -> answers.Page[answers.Heartbeat]:
    """One page of a device's heartbeats, the newest first."""
    number = device["last_heartbeat_id"]
    if query.cursor is not None:
        try:
            last = int(decode(query.cursor))
        except ValueError:
            raise InvalidError("cursor: is not one that this server gave; begin again without it") from None
        found = connection.execute(_BEFORE, (min(last, _LARGEST), device["id"])).fetchone()
        number = found["previous_id"] if found is not None else None  # pruned meanwhile, and all before it
    rows = connection.execute(_PAGE, {"device": device["id"], "number": number, "most": query.limit + 1}).fetchall()
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return answers.Page(items=[_answer(row) for row in rows], next_cursor=encode(str(rows[-1]["id"])) if more else None)


def _answer(row: sqlite3.Row) -> answers.Heartbeat:
    same = ("received_at", "sent_at", "boot_id", "clock_synchronised", "uptime_seconds", "agent_version", "installed",
            "active", "idle_seconds")  # fmt: skip
    gate = update = None
    if row["gate_decision"] is not None:
        gate = answers.Gate(decision=row["gate_decision"], reason=row["gate_reason"], retry_at=row["gate_retry_at"])
    if row["update_id"] is not None:
        update = answers.CurrentUpdate(id=row["update_id"], status=row["update_status"])
    return answers.Heartbeat(
        **{name: row[name] for name in same}, gate=gate, update=update, reboot_required=bool(row["reboot_required"])
    )


def newest_at(connection: sqlite3.Connection) -> datetime | None:
    """When the last heartbeat of all was received."""
    row = connection.execute("SELECT received_at FROM heartbeats ORDER BY id DESC LIMIT 1").fetchone()
    return times.parse(row[0]) if row is not None else None


def expected(connection: sqlite3.Connection) -> int:
    """How many devices send heartbeats: all that are not decommissioned."""
    return int(connection.execute("SELECT count(*) FROM presence").fetchone()[0])
