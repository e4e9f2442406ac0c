"""Heartbeats: as what is known of the device now, and as its history.

The history is only ever appended to, and cleared from its beginning: each heartbeat names the one before it of the same
device, and the device's row the newest.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import events, times, wire
from repo_server.presence import Deadlines

_DEVICE = """SELECT rowid, id, token_sha256, state, channel, group_name, hold, timezone_override, debian, architecture,
 agent_version, timezone, assistant, installed, active, boot_id, gate_decision, gate_reason, update_id, update_status,
 last_heartbeat_id, rotation_requested_at, last_seen_at, boot_overlaps,
 cloned_suspected_at FROM devices WHERE id = ?"""
_ADD = """INSERT INTO heartbeats (device_id, previous_id, received_at, sent_at, boot_id, clock_synchronised,
 uptime_seconds, agent_version, installed, active, idle_seconds, gate_decision, gate_reason, gate_retry_at, update_id,
 update_status, reboot_required) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# What is in an index or seldom changes is written only where it has: an index is written whenever it is assigned to.
_SEEN = """UPDATE devices SET last_seen_at = ?, interval_seconds = ?, last_heartbeat_id = ?, clock_synchronised = ?,
 uptime_seconds = ?, idle_seconds = ?, gate_retry_at = ?, reboot_required = ? WHERE rowid = ?"""
_PRESENT = "UPDATE presence SET late_at = ?, lost_at = ? WHERE device_id = ?"
_SELDOM = ("boot_id", "agent_version", "timezone", "assistant", "installed", "active", "gate_decision", "gate_reason",
           "update_id", "update_status")  # fmt: skip
_CHANGED = f"UPDATE devices SET {', '.join(f'{name} = ?' for name in _SELDOM)} WHERE rowid = ?"  # noqa: S608 - our own columns


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
              decision, reason, update_id, update_status)  # fmt: skip
    # By the interval of now: a device that was told a longer one before may be said to be back once too often.
    if device["last_seen_at"] is None or device["last_seen_at"] <= times.render(now - (deadlines.late_at - now)):
        events.note(connection, "device.online", id=device["id"], at=at)
    if seldom != tuple(device[name] for name in _SELDOM):
        connection.execute(_CHANGED, (*seldom, device["rowid"]))
