"""Devices: registration, what they last said of themselves, and what operators set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from repo_server import answers, times
from repo_server.presence import Deadlines, Presence

DEFAULT_CHANNEL = "stable"
ACTIVE = "active"
PENDING = "pending"
"""Registered, and waits for an operator."""
DECOMMISSIONED = "decommissioned"
GONE = "this device was decommissioned; an operator has to enroll it anew"
"""To the device, whatever it asks."""

FINGERPRINT = 16
"""Characters of a token's hash that people see: enough to tell two apart, useless to become either."""

SELECT = "SELECT devices.*, presence.* FROM devices LEFT JOIN presence ON device_id = id"
"""Everything that ``answer`` needs."""
_FALLEN = """SELECT device_id, :late AS kind, late_at AS at FROM presence WHERE late_at > :since AND late_at <= :now
 UNION ALL SELECT device_id, :lost, lost_at FROM presence WHERE lost_at > :since AND lost_at <= :now
 ORDER BY at LIMIT :most"""
_COLUMNS = {
    "name": "name",
    "group": "group_name",
    "channel": "channel",
    "timezone": "timezone_override",
    "hold": "hold",
    "cloned_suspected_at": "cloned_suspected_at",
}


def find(connection: sqlite3.Connection, device_id: str) -> sqlite3.Row | None:
    """The device's row, whatever its state."""
    row: sqlite3.Row | None = connection.execute(f"{SELECT} WHERE id = ?", (device_id,)).fetchone()
    return row


def change(connection: sqlite3.Connection, device_id: str, values: Mapping[str, object]) -> None:
    """Set what an operator gave, by the names of the API."""
    if not values:
        return
    assignments = ", ".join(f"{_COLUMNS[name]} = ?" for name in values)
    connection.execute(f"UPDATE devices SET {assignments} WHERE id = ?", [*values.values(), device_id])  # noqa: S608 - columns from _COLUMNS


def settings(row: sqlite3.Row, names: Iterable[str]) -> dict[str, object]:
    """What is set now, by the names of the API."""
    return {name: row[_COLUMNS[name]] for name in names}


def fallen_silent(
    connection: sqlite3.Connection, since: datetime, now: datetime, most: int
) -> list[tuple[str, Presence, str]]:
    """Who has become late or lost after ``since`` until ``now``: id, which of both, and when; in that order."""
    values = {"late": Presence.LATE, "lost": Presence.LOST, "most": most}
    rows = connection.execute(_FALLEN, {**values, "since": times.render(since), "now": times.render(now)})
    return [(row["device_id"], Presence(row["kind"]), row["at"]) for row in rows]


def answer(row: sqlite3.Row, now: datetime) -> answers.Device:
    """A row as the API shows it."""
    gate = None
    if row["gate_decision"] is not None:
        gate = answers.Gate(
            decision=row["gate_decision"], reason=row["gate_reason"], retry_at=times.parse_known(row["gate_retry_at"])
        )
    update = None
    if row["update_id"] is not None:
        update = answers.CurrentUpdate(id=row["update_id"], status=row["update_status"])
    reenrollment = None
    if row["pending_since"] is not None:
        reenrollment = answers.Reenrollment(
            requested_at=row["pending_since"], fingerprint=row["pending_token_sha256"][:FINGERPRINT]
        )
    presence = None
    if row["late_at"] is not None:
        # In whole seconds, as the lists and counts compare.
        presence = Deadlines(times.parse(row["late_at"]), times.parse(row["lost_at"])).presence(
            now.replace(microsecond=0)
        )
    same = ("id", "name", "hostname", "state", "channel", "timezone", "assistant", "installed", "active",
            "agent_version", "debian", "architecture", "registered_at", "idle_seconds", "hold")  # fmt: skip
    return answers.Device(
        **{name: row[name] for name in same},
        group=row["group_name"],
        timezone_set=row["timezone_override"],
        last_seen_at=times.parse_known(row["last_seen_at"]),
        online=presence is Presence.ONLINE,
        presence=presence,
        gate=gate,
        update=update,
        reboot_required=bool(row["reboot_required"]),
        reenrollment=reenrollment,
        cloned_suspected_at=times.parse_known(row["cloned_suspected_at"]),
        rotation=_rotation(row),
    )


def _rotation(row: sqlite3.Row) -> Literal["requested", "waiting"] | None:
    if row["rotation_requested_at"] is not None:
        return "requested"
    return "waiting" if row["next_token_sha256"] is not None else None
