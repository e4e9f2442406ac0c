"""Sessions of people who have signed in."""

from __future__ import annotations

import sqlite_utils


def sessions(db: sqlite_utils.Database) -> None:
    """Each stands for an API key until it ends, and then goes: who signed in and out is in the audit log."""
    db.table("sessions").create(
        {"id": str, "secret_sha256": str, "key_id": str, "created_at": str, "last_used_at": str},
        pk="id",
        not_null={"secret_sha256", "key_id", "created_at", "last_used_at"},
        foreign_keys=[("key_id", "api_keys", "id")],
        strict=True,
    )
    db.table("sessions").create_index(["secret_sha256"], unique=True)
    db.table("sessions").create_index(["key_id", "last_used_at"])
