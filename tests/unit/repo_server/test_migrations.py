"""The schema's steps: what was released stays what it was, whatever becomes of the code around it.

``schema.sql`` holds what each step makes of a new database. A new step adds its part at the end; no other line of that
file ever changes.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlite_utils

from repo_server import migrations
from repo_server.db import Database

RECORDED = Path(__file__).with_name("schema.sql")


def schema(connection: sqlite3.Connection) -> dict[str, str]:
    """Tables, indexes and triggers by name, without what SQLite makes itself."""
    rows = connection.execute(
        "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%sqlite_%'"
        " ORDER BY rowid"
    )
    return {name: "\n".join(line.rstrip() for line in sql.splitlines()) for name, sql in rows}


def applied_one_by_one(monkeypatch: pytest.MonkeyPatch) -> str:
    """Each step's recorded name, and what it has made, changed and dropped."""
    steps, text, before = list(migrations._steps._migrations), "", dict[str, str]()
    db = sqlite_utils.Database(memory=True)
    try:
        for count in range(1, len(steps) + 1):
            monkeypatch.setattr(migrations._steps, "_migrations", steps[:count])
            migrations.migrate(db)
            after = schema(db.conn)
            parts = [f"-- dropped: {name}" for name in before if name not in after]
            parts += [f"{sql};" for name, sql in after.items() if before.get(name) != sql]
            text += "\n".join([f"-- {migrations.applied(db)[-1]}", *parts, "", ""])
            before = after
    finally:
        db.close()
    return text


def test_each_step_does_what_it_did_when_it_was_released(monkeypatch: pytest.MonkeyPatch) -> None:
    assert applied_one_by_one(monkeypatch) == RECORDED.read_text()


def test_all_steps_at_once_come_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Database(tmp_path / "x.db")
    try:
        made, names = schema(at_once.connection()), migrations.applied(at_once.tables())
    finally:
        at_once.close()
    text = applied_one_by_one(monkeypatch)
    assert made
    assert all(f"{sql};" in text for sql in made.values())
    assert names == [line.removeprefix("-- ") for line in text.splitlines() if line.startswith("-- 0")]
