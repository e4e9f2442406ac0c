"""Backups, bringing them back, pruning, and what clients and operators hear of a database that cannot be used."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from repo_server import backups, housekeeping, storage
from repo_server.app import create_app
from repo_server.cli import main
from repo_server.context import KEY
from repo_server.db import Database
from repo_server.errors import SchemaError
from tests.support.fleet_bodies import DEVICE, TOKEN, heartbeat, status
from tests.unit.repo_server.conftest import Service


def rows(file: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute(sql)]


def damage(file: Path) -> None:
    """Overwrite pages in the middle with nonsense; the header stays."""
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(4096 * 2)
        stream.write(b"\xa5" * (size - 4096 * 2))


@pytest.fixture
def copy(service: Service, tmp_path: Path) -> Path:
    service.register()
    service.beat()
    target = tmp_path / "backup.db"
    storage.backup(service.settings.database, target)
    return target


def test_a_backup_is_whole_private_and_one_file(service: Service, copy: Path) -> None:
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows(copy, "SELECT id FROM devices") == [DEVICE]
    assert rows(copy, "SELECT count(*) FROM heartbeats") == [1]
    assert [path.name for path in copy.parent.glob("backup*")] == ["backup.db"]
    assert storage.problems(copy) == []


def test_a_backup_is_of_one_instant_while_others_write(service: Service, tmp_path: Path) -> None:
    """Two rows are always written together; no copy has one of them."""
    stop, failures = threading.Event(), []

    def pair(connection: sqlite3.Connection) -> None:
        for word in ("one", "two"):
            connection.execute(
                "INSERT INTO audit_log (at, who, action, subject, detail) VALUES ('', '', ?, '', '')", (word,)
            )

    def write() -> None:
        try:
            while not stop.is_set():
                service.db.write(pair)
        except sqlite3.Error as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            storage.backup(service.settings.database, tmp_path / "copy.db")
            counts = rows(tmp_path / "copy.db", "SELECT count(*) FROM audit_log WHERE action <> '' GROUP BY action")
            assert len(set(counts)) <= 1, (number, counts)
    finally:
        stop.set()
        writer.join()
    assert not failures


def test_a_damaged_database_is_not_backed_up_over_a_good_backup(service: Service, copy: Path) -> None:
    before = copy.read_bytes()
    service.db.close()
    damage(service.settings.database)
    with pytest.raises(storage.StorageError, match="is damaged, so no backup was made"):
        storage.backup(service.settings.database, copy)
    assert copy.read_bytes() == before
    assert not list(copy.parent.glob("*.part"))


def test_restoring_is_refused_while_the_database_is_open(service: Service, copy: Path) -> None:
    service.report(service.announce(), status(1, "refreshed"))
    with pytest.raises(storage.StorageError, match=r"a server is running on .* stop it first"):
        storage.restore(copy, service.settings.database, service.now)
    assert service.beat()["offer"] is not None  # it goes on, with nothing lost
    assert rows(service.settings.database, "SELECT count(*) FROM device_update_events WHERE sequence = 1") == [1]


def test_restoring_keeps_the_old_database_whole(service: Service, copy: Path) -> None:
    service.announce()
    service.db.close()
    aside = storage.restore(copy, service.settings.database, service.now)
    assert aside is not None
    assert aside.name == "repo_server.db.before-restore-20260329T013000Z"
    assert rows(aside, "SELECT version FROM updates") == ["1.1.0"]
    assert rows(service.settings.database, "SELECT version FROM updates") == []
    assert service.settings.database.stat().st_mode & 0o777 == 0o600


def test_a_database_in_place_of_a_damaged_or_missing_one(service: Service, copy: Path) -> None:
    service.db.close()
    damage(service.settings.database)
    with pytest.raises(SchemaError, match=r"is damaged .*`repo-server restore`"):
        Database(service.settings.database)
    assert storage.restore(copy, service.settings.database, service.now) is not None
    service.settings.database.unlink()
    assert storage.restore(copy, service.settings.database, service.now) is None
    assert storage.problems(service.settings.database) == []


@pytest.mark.parametrize("what", ["damaged", "not one", "empty", "missing", "newer"])
def test_a_file_that_is_no_backup_is_not_restored(service: Service, copy: Path, what: str) -> None:
    change: dict[str, Callable[[], object]] = {
        "damaged": lambda: damage(copy),
        "not one": lambda: copy.write_text("no database"),
        "empty": lambda: copy.write_bytes(b""),
        "missing": copy.unlink,
        "newer": lambda: _add_step(copy),
    }
    change[what]()
    service.db.close()
    before = service.settings.database.read_bytes()
    with pytest.raises(storage.StorageError, match=str(copy)):
        storage.restore(copy, service.settings.database, service.now)
    assert service.settings.database.read_bytes() == before


def _add_step(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('repo_server', '9999_x', 'x')"
        )


def test_after_a_restore_devices_may_be_ahead(service: Service, tmp_path: Path) -> None:
    """The backup knows of the first status; the device has reported eight, and goes on with the ninth."""
    service.register()
    service.beat()
    update = service.announce()
    service.report(update, status(1, "refreshed"))
    backup = tmp_path / "backup.db"
    storage.backup(service.settings.database, backup)
    service.report(update, *(status(number, "downloading") for number in range(2, 9)))
    service.db.close()
    storage.restore(backup, service.settings.database, service.now)
    app = create_app(service.settings, lambda: service.now)
    restored = Service(app, app.extensions[KEY].db, service.settings, service.now)
    try:
        assert restored.report(update, status(9, "installing")).get_json() == {"acknowledged": 9}
        row = restored.db.connection().execute("SELECT status, sequence FROM device_updates").fetchone()
        assert tuple(row) == ("installing", 9)
        restored.beat()
    finally:
        restored.db.close()


def test_old_heartbeats_go_and_the_newest_stays(service: Service) -> None:
    service.register()
    for _ in range(5):
        service.beat()
        service.now += timedelta(hours=1)
    keep = timedelta(hours=3)
    assert housekeeping.prune(service.db, keep, service.now) == 2
    assert housekeeping.prune(service.db, keep, service.now) == 0
    assert housekeeping.prune(service.db, timedelta(), service.now + timedelta(days=1)) == 2
    left = service.db.connection().execute("SELECT id, previous_id FROM heartbeats").fetchall()
    assert [tuple(row) for row in left] == [(5, 4)]
    service.beat()
    newest = service.db.connection().execute("SELECT max(id) FROM heartbeats").fetchone()[0]
    assert newest == 6


def test_pruning_takes_turns_with_others(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.register()
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    for _ in range(7):
        service.beat()
    service.now += timedelta(days=30)
    transactions: list[str] = []
    service.db._writer.set_trace_callback(transactions.append)
    assert housekeeping.prune(service.db, timedelta(days=1), service.now, most=2) == 4
    assert sum(statement.startswith("COMMIT") for statement in transactions) == 2
    assert housekeeping.prune(service.db, timedelta(days=1), service.now) == 2


@pytest.mark.parametrize(
    ("code", "words", "retry"),
    [
        (sqlite3.SQLITE_BUSY, "busy", "5"),
        (sqlite3.SQLITE_FULL, "disk is full, nothing was recorded", "60"),
        (sqlite3.SQLITE_READONLY, "read-only, nothing was recorded", "60"),
        (sqlite3.SQLITE_IOERR, "disk fails, nothing was recorded", "60"),
        (sqlite3.SQLITE_CORRUPT, "damaged; its operator has to restore a backup", "300"),
    ],
)
def test_a_database_that_cannot_be_used_is_no_500(
    service: Service, monkeypatch: pytest.MonkeyPatch, code: int, words: str, retry: str
) -> None:
    service.register()

    def fail(*_: object) -> None:
        error = sqlite3.DatabaseError("as SQLite says it")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(service.db._commits, "run", fail)
    path = f"/api/v1/devices/{DEVICE}/heartbeat"
    answer = service.request("POST", path, heartbeat(), token=TOKEN)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, retry)
    assert words in answer.get_json()["error"]["message"]


def test_a_disk_that_is_really_full_and_empty_again(service: Service) -> None:
    service.register()
    service.beat()
    pages = service.db.connection().execute("PRAGMA page_count").fetchone()[0]
    service.db._writer.execute(f"PRAGMA max_page_count={pages}")
    update = service.announce()  # fits into what is free
    full = [service.report(update, status(number, "failed", log_tail="x" * 16_000)) for number in range(1, 9)]
    assert {answer.status_code for answer in full} >= {503}
    service.db._writer.execute(f"PRAGMA max_page_count={pages + 10_000}")
    answer = service.report(update, status(9, "failed", log_tail="x" * 16_000))
    assert answer.status_code == 200
    kept = service.db.connection().execute("SELECT count(*) FROM device_update_events WHERE sequence > 0").fetchone()[0]
    assert kept == sum(each.status_code == 200 for each in full) + 1


def test_a_file_that_cannot_be_written_is_said_to_be_so(service: Service) -> None:
    service.register()
    key = service.key("operator")
    service.db._writer.execute("PRAGMA query_only=ON")
    answer = service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"name": "x"}, key=key)
    assert answer.status_code == 503
    assert "read-only" in answer.get_json()["error"]["message"]


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


def test_the_commands(service: Service, tmp_path: Path) -> None:
    service.register()
    service.beat()
    state, file = ("--state", service.settings.state_dir), tmp_path / "b.db"
    exit_status, output = run("backup", *state, "--json", file)
    assert (exit_status, json.loads(output)) == (0, {"backup": str(file), "bytes": file.stat().st_size})
    exit_status, output = run("prune", *state, "--keep", "1h", "--json")
    assert (exit_status, json.loads(output)) == (0, {"deleted_heartbeats": 0, "kept_hours": 1.0})
    exit_status, output = run("restore", *state, file)
    assert exit_status == 1
    assert "stop it first" in output
    service.db.close()
    exit_status, output = run("restore", *state, "--json", file)
    assert exit_status == 0
    assert ".before-restore-" in json.loads(output)["old_database"]
    exit_status, output = run("backup", "--state", tmp_path / "none", file)
    assert exit_status == 1
    assert "there is no database in" in output


def test_copies_in_the_folder_of_the_settings(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    (folder / "mine.db").touch()
    settings = tmp_path / "settings.toml"
    settings.write_text(f'state_dir = "{service.settings.state_dir}"\n')
    named = ("backup", "--config", settings)
    assert "name a FILE, or set backup_dir" in run(*named)[1]
    settings.write_text(settings.read_text() + f'backup_dir = "{folder}"\n')
    old = backups.place(folder, datetime.now(UTC) - timedelta(days=14, minutes=1))
    young = backups.place(folder, datetime.now(UTC) - timedelta(days=13))
    old.touch()
    young.touch()
    assert "leave FILE out" in run(*named, "--keep", "14d", tmp_path / "x.db")[1]
    exit_status, output = run(*named, "--keep", "14d", "--json")
    said = json.loads(output)
    made = Path(said["backup"])
    assert (exit_status, said["deleted"], made.stat().st_mode & 0o777) == (0, 1, 0o600)
    assert set(folder.iterdir()) == {folder / "mine.db", young, made}


def test_the_newest_copy_is_never_deleted(tmp_path: Path) -> None:
    now = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
    for days in (40, 30):
        backups.place(tmp_path, now - timedelta(days=days)).touch()
    assert backups.delete_older(tmp_path, now) == 1
    assert backups.newest(tmp_path) == now - timedelta(days=30)
