"""Tables to which rows are only ever added."""

from __future__ import annotations

import sqlite_utils


def append_only(db: sqlite_utils.Database, table: str) -> None:
    """Nothing recorded is ever changed. Deleting stays possible: what is kept about a home has a limited time."""
    db.conn.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
