"""The audit log: every change that a person or a program makes with a key or in the CLI."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from repo_server import times


def record(
    connection: sqlite3.Connection,
    at: datetime,
    who: str,
    action: str,
    subject: str,
    **detail: object,
) -> None:
    """Add one entry, in the transaction of the change itself. ``detail`` never holds a secret."""
    connection.execute(
        "INSERT INTO audit_log (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (times.render(at), who, action, subject, json.dumps(detail, sort_keys=True)),
    )
