"""API keys, enrollment tokens and the audit log."""

from __future__ import annotations

import sqlite_utils

from repo_server.migrations.append_only import append_only


def credentials_and_audit(db: sqlite_utils.Database) -> None:
    """Of keys and tokens only hashes; the audit log is append-only."""
    db.table("api_keys").create(
        {"id": str, "name": str, "role": str, "secret_sha256": str, "created_at": str, "revoked_at": str},
        pk="id",
        not_null={"name", "role", "secret_sha256", "created_at"},
        strict=True,
    )
    db.table("api_keys").create_index(["secret_sha256"], unique=True)
    db.table("enrollment_tokens").create(
        {
            "id": str,
            "name": str,
            "secret_sha256": str,
            "created_at": str,
            "expires_at": str,
            "uses_allowed": int,
            "uses": int,
            "revoked_at": str,
        },
        pk="id",
        not_null={"name", "secret_sha256", "created_at", "uses"},
        strict=True,
    )
    db.table("enrollment_tokens").create_index(["secret_sha256"], unique=True)
    db.table("audit_log").create(
        {"id": int, "at": str, "who": str, "action": str, "subject": str, "detail": str},
        pk="id",
        not_null={"at", "who", "action", "subject", "detail"},
        strict=True,
    )
    append_only(db, "audit_log")


def expiry_and_presets(db: sqlite_utils.Database) -> None:
    """Keys may expire; a token may preset group and channel, ask for approval, or let known devices back in."""
    db.table("api_keys").add_column("expires_at", str)
    for column, kind in {"group_name": str, "channel": str, "approval": int, "recovery": int}.items():
        db.table("enrollment_tokens").add_column(column, kind)
    for column in ("who", "action", "subject"):
        db.table("audit_log").create_index([column, "id"])
