"""The database file: schema steps, transactions, threads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlite_utils

from repo_server import migrations
from repo_server.db import Database, Durability
from repo_server.errors import SchemaError

TABLES = {
    "devices", "heartbeats", "updates", "device_updates", "device_update_events", "api_keys", "enrollment_tokens",
    "audit_log",
}  # fmt: skip


def test_a_new_file_is_private_and_has_every_table(tmp_path: Path) -> None:
    db = Database(tmp_path / "state" / "x.db")
    try:
        assert set(db.tables().table_names()) >= TABLES
        assert db.connection().execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.connection().execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert (tmp_path / "state" / "x.db").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    finally:
        db.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    dumps = []
    for _ in range(2):
        db = Database(tmp_path / "x.db")
        dumps.append(list(db.connection().iterdump()))
        db.close()
    assert dumps[0] == dumps[1]


def test_a_newer_schema_is_refused_with_a_sentence_and_left_alone(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    step = {"migration_set": "repo_server", "name": "0999_from_the_future", "applied_at": "2030-01-01"}
    db.write(lambda _: db.tables().table("_sqlite_migrations").insert(step))
    before = list(db.connection().iterdump())
    db.close()
    with pytest.raises(SchemaError, match=r"newer repo-server .*0999_from_the_future.*install that version again"):
        Database(tmp_path / "x.db")
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert list(connection.iterdump()) == before
    connection.close()


def test_a_step_that_fails_leaves_neither_itself_nor_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(db: sqlite_utils.Database) -> None:
        db.table("half").create({"id": int})
        raise RuntimeError("power cut")

    db = Database(tmp_path / "x.db")
    try:
        before = list(db.connection().iterdump())
        monkeypatch.setattr(migrations._steps, "_migrations", [*migrations._steps._migrations])
        migrations._steps(name="9999_half")(half)
        with pytest.raises(RuntimeError, match="power cut"):
            migrations.migrate(sqlite_utils.Database(tmp_path / "x.db"))
        assert list(db.connection().iterdump()) == before
    finally:
        db.close()


def test_the_steps_are_applied_in_the_order_of_their_names(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    applied = migrations.applied(db.tables())
    db.close()
    assert applied == sorted(applied)


def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO audit_log (at, who, action, subject, detail) VALUES ('', '', '', '', '')")
        raise RuntimeError("stop")

    try:
        with pytest.raises(RuntimeError, match="stop"):
            db.write(half)
        assert db.connection().execute("SELECT count(*) FROM audit_log").fetchone()[0] == 0
        assert not db.connection().in_transaction
    finally:
        db.close()


@pytest.mark.parametrize(("durability", "level"), [(Durability.CRASH, 1), (Durability.POWER_CUT, 2)])
def test_a_write_has_the_durability_that_was_asked_for(tmp_path: Path, durability: Durability, level: int) -> None:
    db = Database(tmp_path / "x.db")
    try:
        for before in (Durability.POWER_CUT, Durability.CRASH):
            db.write(lambda _: None, before)
            assert db.write(lambda given: given.execute("PRAGMA synchronous").fetchone()[0], durability) == level
    finally:
        db.close()


def test_writes_of_many_threads_all_arrive(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    failures: list[BaseException] = []

    def count_up() -> None:
        try:
            for _ in range(50):
                db.write(_add_one, Durability.CRASH)
        except BaseException as error:  # noqa: BLE001 - reported by the test's own assertion
            failures.append(error)

    def _add_one(connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT count(*) FROM audit_log").fetchone()[0]
        connection.execute(
            "INSERT INTO audit_log (at, who, action, subject, detail) VALUES (?, '', '', '', '')", (str(found),)
        )

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert not failures
        numbers = [int(row[0]) for row in db.connection().execute("SELECT at FROM audit_log")]
        assert sorted(numbers) == list(range(200))
    finally:
        db.close()
