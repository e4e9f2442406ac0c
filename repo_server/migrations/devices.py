"""Devices: what they say of themselves, who they are, and how lists of them are found."""

from __future__ import annotations

import sqlite_utils


def devices(db: sqlite_utils.Database) -> None:
    """Who is out there, and what each has said in its heartbeats."""
    db.table("devices").create(
        {
            "id": str,
            "token_sha256": str,
            "state": str,
            "name": str,
            "hostname": str,
            "group_name": str,
            "channel": str,
            "timezone": str,
            "timezone_override": str,
            "assistant": str,
            "agent_version": str,
            "debian": str,
            "architecture": str,
            "model": str,
            "hold": str,
            "enrolled_with": str,
            "registered_at": str,
            "decommissioned_at": str,
            # The last heartbeat:
            "last_seen_at": str,
            "boot_id": str,
            "clock_synchronised": int,
            "uptime_seconds": int,
            "installed": str,
            "active": str,
            "idle_seconds": int,
            "gate_decision": str,
            "gate_reason": str,
            "gate_retry_at": str,
            "update_id": str,
            "update_status": str,
        },
        pk="id",
        not_null={"token_sha256", "state", "hostname", "channel", "timezone", "assistant", "agent_version", "debian",
                  "architecture", "registered_at"},
        strict=True,
    )  # fmt: skip
    db.table("heartbeats").create(
        {
            "id": int,
            "device_id": str,
            "received_at": str,
            "sent_at": str,
            "boot_id": str,
            "clock_synchronised": int,
            "uptime_seconds": int,
            "agent_version": str,
            "installed": str,
            "active": str,
            "idle_seconds": int,
            "gate_decision": str,
            "gate_reason": str,
            "gate_retry_at": str,
            "update_id": str,
            "update_status": str,
        },
        pk="id",
        not_null={"device_id", "received_at"},
        foreign_keys=[("device_id", "devices", "id")],
        strict=True,
    )
    db.table("heartbeats").create_index(["device_id"])


def reboot_required(db: sqlite_utils.Database) -> None:
    """Whether the last heartbeat said that the device asks for a restart; null for those from before."""
    for table in ("devices", "heartbeats"):
        db.table(table).add_column("reboot_required", int)


def identity(db: sqlite_utils.Database) -> None:
    """A second token beside the first: one that an operator has to approve, or the next one of a rotation."""
    columns = {
        "pending_token_sha256": str,
        "pending_since": str,
        "pending_enrolled_with": str,
        "next_token_sha256": str,
        "rotation_requested_at": str,
        "boot_overlaps": int,
        "cloned_suspected_at": str,
    }
    for column, kind in columns.items():
        db.table("devices").add_column(column, kind)
    # Few devices are ever in either list.
    for column in ("pending_since", "cloned_suspected_at"):
        db.conn.execute(f"CREATE INDEX devices_{column} ON devices (id) WHERE {column} IS NOT NULL")


def indexes(db: sqlite_utils.Database) -> None:
    """For every filter of the lists, with the key by which they page, and for the numbers of the fleet."""
    for columns in (
        ["state", "id"],
        ["state", "group_name", "id"],
        ["state", "channel", "id"],
        ["state", "active", "id"],
        ["state", "update_status", "id"],
        ["state", "gate_decision", "gate_reason"],
    ):
        db.table("devices").create_index(columns)
    db.table("device_updates").create_index(["update_id", "device_id"])
