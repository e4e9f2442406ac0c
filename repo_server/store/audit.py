"""The audit log: every change that a person or a program makes with a key or in the CLI, and the server's own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime

from repo_server import events, times
from repo_server.answers import Page
from repo_server.answers_identity import AuditEntry
from repo_server.store.paging import page
from repo_server.wire_identity import AuditQuery

_TOLD = ("device.", "update.")
"""Actions that are also events, for those who may not read the audit log: with their subject and nothing else."""
SERVER = "server"
"""Who it was where nobody asked for it."""


def record(
    connection: sqlite3.Connection,
    at: datetime,
    who: str,
    action: str,
    subject: str,
    **detail: object,
) -> None:
    """Add one entry, in the transaction of the change itself.

    ``detail`` names what is worth knowing, by custom ``before`` and ``after``; it never holds a secret.
    """
    connection.execute(
        "INSERT INTO audit_log (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (times.render(at), who, action, subject, json.dumps(detail, sort_keys=True)),
    )
    if action.startswith(_TOLD):
        events.note(connection, action, id=subject, at=times.render(at))


def list_page(connection: sqlite3.Connection, query: AuditQuery) -> Page[AuditEntry]:
    """One page of entries, the newest first."""
    return page(
        connection,
        "SELECT * FROM audit_log",
        [
            ("who = ?", query.who) if query.who is not None else None,
            ("action = ?", query.action) if query.action is not None else None,
            ("subject = ?", query.subject) if query.subject is not None else None,
            ("at >= ?", times.render(query.since)) if query.since is not None else None,
            ("at < ?", times.render(query.until)) if query.until is not None else None,
        ],
        key="id",
        limit=query.limit,
        cursor=query.cursor,
        make=entry,
        descending=True,
    )


def names(connection: sqlite3.Connection, subjects: Collection[str]) -> dict[str, str]:
    """What people call the devices, updates, keys and tokens with these ids; without what has no name or is gone."""
    marks = ", ".join("?" * len(subjects))
    rows = connection.execute(
        f"SELECT id, coalesce(name, hostname) AS name FROM devices WHERE id IN ({marks})"  # noqa: S608 - marks only
        f" UNION ALL SELECT id, name || ' ' || version FROM updates WHERE id IN ({marks})"
        f" UNION ALL SELECT id, name FROM api_keys WHERE id IN ({marks})"
        f" UNION ALL SELECT id, name FROM enrollment_tokens WHERE id IN ({marks})",
        [*subjects] * 4,
    )
    return {row["id"]: row["name"] for row in rows if row["name"]}


def newest_at(connection: sqlite3.Connection, among: int = -1) -> datetime | None:
    """The latest time of the last ``among`` entries, or of all, which reads the whole log; None where there is none."""
    found = connection.execute(
        "SELECT max(at) FROM (SELECT at FROM audit_log ORDER BY id DESC LIMIT ?)", (among,)
    ).fetchone()
    return times.parse_known(found[0])


def entry(row: sqlite3.Row) -> AuditEntry:
    """A row as the API shows it."""
    same = ("id", "at", "who", "action", "subject")
    return AuditEntry(**{name: row[name] for name in same}, detail=json.loads(row["detail"]))
