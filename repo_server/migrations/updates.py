"""Updates, their rollouts, and each device's progress through them."""

from __future__ import annotations

import sqlite_utils

from repo_server.migrations.append_only import append_only


def updates(db: sqlite_utils.Database) -> None:
    """What was announced, and how far each device is with it; its events are append-only."""
    db.table("updates").create(
        {
            "id": str,
            "name": str,
            "version": str,
            "channel": str,
            "urgency": str,
            "notes": str,
            "minimum_agent": str,
            "packages": str,
            "state": str,
            "announced_at": str,
            "announced_by": str,
        },
        pk="id",
        not_null={"name", "version", "channel", "urgency", "notes", "packages", "state", "announced_at"},
        strict=True,
    )
    db.table("updates").create_index(["name", "channel", "version"], unique=True)
    db.table("device_updates").create(
        {
            "device_id": str,
            "update_id": str,
            "status": str,
            "reason": str,
            "retry_at": str,
            "detail": str,
            "log_tail": str,
            "sequence": int,
            "urgency": str,
            "granted_at": str,
            "updated_at": str,
        },
        pk=("device_id", "update_id"),
        not_null={"status", "sequence", "urgency", "updated_at"},
        foreign_keys=[("device_id", "devices", "id"), ("update_id", "updates", "id")],
        strict=True,
    )
    db.table("device_updates").create_index(["update_id", "status"])
    db.table("device_update_events").create(
        {
            "id": int,
            "device_id": str,
            "update_id": str,
            "sequence": int,
            "status": str,
            "verdict": str,
            "version": str,
            "reason": str,
            "retry_at": str,
            "detail": str,
            "log_tail": str,
            "at": str,
            "received_at": str,
        },
        pk="id",
        not_null={"device_id", "update_id", "status", "verdict", "at", "received_at"},
        foreign_keys=[("device_id", "devices", "id"), ("update_id", "updates", "id")],
        strict=True,
    )
    # A repeat of an acknowledged status finds itself here. The server's own events have no sequence.
    db.table("device_update_events").create_index(["device_id", "update_id", "sequence"], unique=True)
    append_only(db, "device_update_events")


def rollouts(db: sqlite_utils.Database) -> None:
    """Waves and limits. An update from before has none of it: everybody has it since it was announced."""
    for column, kind in (
        ("rollout", str),  # waves and failure limit, as JSON
        ("waves_opened", str),  # a JSON list of times
        ("dwell_from", str),
        ("stopped_at", str),
        ("halt_reason", str),
        ("expedited_at", str),
        ("accepted_failures", int),
        ("accepted_finished", int),
    ):
        db.table("updates").add_column(column, kind)
    for column in ("stuck", "stuck_at", "expedited_at"):
        db.table("device_updates").add_column(column, str)
    # Looked at every few seconds; few devices are at it at any time.
    db.conn.execute(
        "CREATE INDEX idx_device_updates_started ON device_updates (update_id)"
        " WHERE status IN ('installing', 'activating', 'restarting', 'verifying')"
    )


def devices_by_status(db: sqlite_utils.Database) -> None:
    """One page of the devices of an update that have a status, in the order of their ids, is read from an index."""
    db.conn.execute("DROP INDEX idx_device_updates_update_id_status")
    db.table("device_updates").create_index(["update_id", "status", "device_id"])
