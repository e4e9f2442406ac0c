"""Devices: registration, what they last said of themselves, and what operators set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from repo_server import answers, times, wire
from repo_server.presence import Deadlines, Presence
from repo_server.store.paging import page

DEFAULT_CHANNEL = "stable"
ACTIVE = "active"
PENDING = "pending"
"""Registered, and waits for an operator."""
DECOMMISSIONED = "decommissioned"
GONE = "this device was decommissioned; an operator has to enroll it anew"
"""To the device, whatever it asks."""

FINGERPRINT = 16
"""Characters of a token's hash that people see: enough to tell two apart, useless to become either."""

_SELECT = "SELECT devices.*, presence.* FROM devices LEFT JOIN presence ON device_id = id"
# Few are silent: they are found in the narrow table, which is in the order of the ids too.
_SELECT_SILENT = "SELECT devices.*, presence.* FROM presence CROSS JOIN devices ON device_id = id"
_PRESENT = {
    Presence.ONLINE: ("late_at > ?",),
    Presence.LATE: ("late_at <= ?", "lost_at > ?"),
    Presence.LOST: ("lost_at <= ?",),
}
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
    row: sqlite3.Row | None = connection.execute(f"{_SELECT} WHERE id = ?", (device_id,)).fetchone()
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


def list_page(connection: sqlite3.Connection, query: wire.DeviceQuery, now: datetime) -> answers.Page[answers.Device]:
    """One page of devices, oldest registration first (device ids are UUIDv7)."""
    at = times.render(now)
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
    if query.cloned is not None:
        conditions.append((f"(cloned_suspected_at IS NOT NULL) = {int(query.cloned)} AND ?", 1))
    silent = query.online is False or query.presence in {Presence.LATE, Presence.LOST}
    if query.state == DECOMMISSIONED and query.presence is None:
        silent = False  # none of these is online, and none has deadlines
    if query.online is not None and (query.online or silent):
        conditions.append(("late_at > ?" if query.online else "late_at <= ?", at))
    if query.presence is not None:
        conditions += [(condition, at) for condition in _PRESENT[query.presence]]
    return page(
        connection,
        _SELECT_SILENT if silent else _SELECT,
        conditions,
        key="device_id" if silent else "id",
        limit=query.limit,
        cursor=query.cursor,
        make=lambda row: answer(row, now),
    )


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
