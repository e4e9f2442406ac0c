"""Devices: registration, what they last said of themselves, and what operators set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from repo_server import answers, times, wire
from repo_server.store.paging import Rows, page

DEFAULT_CHANNEL = "stable"
ACTIVE = "active"
PENDING = "pending"
"""Registered, and waits for an operator."""
DECOMMISSIONED = "decommissioned"
GONE = "this device was decommissioned; an operator has to enroll it anew"
"""To the device, whatever it asks."""

FINGERPRINT = 16
"""Characters of a token's hash that people see: enough to tell two apart, useless to become either."""

_COLUMNS = {
    "name": "name",
    "group": "group_name",
    "channel": "channel",
    "timezone": "timezone_override",
    "hold": "hold",
}

# The hot path: one statement each, prepared once per connection by sqlite3's own cache.
_SEEN = """UPDATE devices SET last_seen_at = ?, boot_id = ?, clock_synchronised = ?, uptime_seconds = ?,
 agent_version = ?, timezone = ?, assistant = ?, installed = ?, active = ?, idle_seconds = ?, gate_decision = ?,
 gate_reason = ?, gate_retry_at = ?, update_id = ?, update_status = ?, reboot_required = ? WHERE id = ?"""
_HEARTBEAT = """INSERT INTO heartbeats (device_id, received_at, sent_at, boot_id, clock_synchronised, uptime_seconds,
 agent_version, installed, active, idle_seconds, gate_decision, gate_reason, gate_retry_at, update_id, update_status,
 reboot_required) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def find(connection: sqlite3.Connection, device_id: str) -> sqlite3.Row | None:
    """The device's row, whatever its state."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM devices WHERE id = ?", (device_id,)).fetchone()
    return row


def record_heartbeat(connection: sqlite3.Connection, device_id: str, beat: wire.Heartbeat, now: datetime) -> None:
    """Keep a heartbeat: as what is known now, and in the history."""
    at = times.render(now)
    gate, update, assistant = beat.gate, beat.update, beat.assistant
    about_gate = (
        gate.decision if gate else None,
        gate.reason if gate else None,
        times.render(gate.retry_at) if gate and gate.retry_at else None,
    )
    about_update = (update.id, update.status) if update else (None, None)
    machine = (beat.boot_id, beat.clock_synchronised, beat.uptime_seconds, beat.agent_version)
    tail = (assistant.installed, assistant.active, beat.idle_seconds, *about_gate, *about_update, beat.reboot_required)
    connection.execute(_SEEN, (at, *machine, beat.timezone, assistant.name, *tail, device_id))
    connection.execute(_HEARTBEAT, (device_id, at, times.render(beat.sent_at), *machine, *tail))


def change(connection: sqlite3.Connection, device_id: str, values: Mapping[str, object]) -> None:
    """Set what an operator gave, by the names of the API."""
    if not values:
        return
    assignments = ", ".join(f"{_COLUMNS[name]} = ?" for name in values)
    connection.execute(f"UPDATE devices SET {assignments} WHERE id = ?", [*values.values(), device_id])  # noqa: S608 - columns from _COLUMNS


def settings(row: sqlite3.Row, names: Iterable[str]) -> dict[str, object]:
    """What is set now, by the names of the API."""
    return {name: row[_COLUMNS[name]] for name in names}


def list_page(
    connection: sqlite3.Connection, query: wire.DeviceQuery, now: datetime, online_for: timedelta
) -> Rows[answers.Device]:
    """One page of devices, oldest registration first (device ids are UUIDv7)."""
    since = times.render(now - online_for)
    conditions: list[tuple[str, object] | None] = [
        ("state = ?", query.state),
        ("group_name = ?", query.group) if query.group is not None else None,
        ("channel = ?", query.channel) if query.channel is not None else None,
        ("active = ?", query.version) if query.version is not None else None,
        ("update_status = ?", query.status) if query.status is not None else None,
        (f"(pending_since IS NOT NULL) = {int(query.reenrollment)} AND ?", 1)
        if query.reenrollment is not None
        else None,
    ]
    if query.online is not None:
        conditions.append((f"(last_seen_at IS NOT NULL AND last_seen_at >= ?) = {int(query.online)}", since))
    return page(
        connection,
        "SELECT * FROM devices",
        conditions,
        key="id",
        limit=query.limit,
        cursor=query.cursor,
        make=lambda row: answer(row, now, online_for),
    )


def answer(row: sqlite3.Row, now: datetime, online_for: timedelta) -> answers.Device:
    """A row as the API shows it."""
    last_seen_at = _time(row["last_seen_at"])
    gate = None
    if row["gate_decision"] is not None:
        gate = answers.Gate(
            decision=row["gate_decision"], reason=row["gate_reason"], retry_at=_time(row["gate_retry_at"])
        )
    update = None
    if row["update_id"] is not None:
        update = answers.CurrentUpdate(id=row["update_id"], status=row["update_status"])
    reenrollment = None
    if row["pending_since"] is not None:
        reenrollment = answers.Reenrollment(
            requested_at=row["pending_since"], fingerprint=row["pending_token_sha256"][:FINGERPRINT]
        )
    same = ("id", "name", "hostname", "state", "channel", "timezone", "assistant", "installed", "active",
            "agent_version", "debian", "architecture", "registered_at", "idle_seconds", "hold")  # fmt: skip
    return answers.Device(
        **{name: row[name] for name in same},
        group=row["group_name"],
        timezone_set=row["timezone_override"],
        last_seen_at=last_seen_at,
        online=last_seen_at is not None and last_seen_at >= now - online_for and row["state"] != DECOMMISSIONED,
        gate=gate,
        update=update,
        reboot_required=bool(row["reboot_required"]),
        reenrollment=reenrollment,
        rotation=_rotation(row),
    )


def _rotation(row: sqlite3.Row) -> Literal["requested", "waiting"] | None:
    if row["rotation_requested_at"] is not None:
        return "requested"
    return "waiting" if row["next_token_sha256"] is not None else None


def _time(text: str | None) -> datetime | None:
    return times.parse(text) if text is not None else None
