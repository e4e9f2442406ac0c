"""What is wrong is found, each with what mends it; nothing is changed by looking."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from repo_server import backups, config, times
from repo_server.cli import main

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(config.ENVIRONMENT + name.upper(), raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    """Where something answers as a server does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1_000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def file(tmp_path: Path, port: int) -> Path:
    """The settings of a server that is well."""
    file = tmp_path / "repo-server.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\nhost = "127.0.0.1"\nport = {port}\n')
    assert CliRunner().invoke(main, ["init", "--config", str(file)]).exit_code == 0
    sign(tmp_path, NOW)
    publish_keys(tmp_path, "A1 2031-11-24T00:00:00Z")
    return file


def sign(tmp_path: Path, at: datetime, more: str = "") -> None:
    folder = tmp_path / "state" / "public" / "trixie" / "dists" / "stable"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "InRelease").write_text(f"Date: {at:%a, %d %b %Y %H:%M:%S} UTC\n{more}")


AGENT = "Package: pi-hook\nVersion: 1.0\n\n"


def publish_keys(tmp_path: Path, archive: str, builder: str = "B1 never", agent: str = AGENT) -> None:
    folder = tmp_path / "state" / "public" / "trixie" / "dists" / "stable" / "main" / "binary-amd64"
    folder.mkdir(parents=True, exist_ok=True)
    fields = f"Version: 1\nArchive-Keys: {archive}\nBuilder-Keys: {builder}\nDescription: keys\n"
    (folder / "Packages").write_text(f"Package: pi-ota-keyring\n{fields}\n{agent}")


def database(tmp_path: Path, statement: str) -> None:
    connection = sqlite3.connect(tmp_path / "state" / "repo_server.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def doctor(file: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(main, ["doctor", "--config", str(file), "--json"])
    said = json.loads(result.stdout)
    assert said["ok"] is (result.exit_code == 0)
    return result.exit_code, {one["check"]: one for one in said["checks"]}


def test_a_server_that_is_well(file: Path, tmp_path: Path) -> None:
    content = (tmp_path / "state" / "repo_server.db").read_bytes()
    status, found = doctor(file)
    assert (status, {one["level"] for one in found.values()}) == (0, {"ok"}), found
    assert set(found) == {
        "settings", "state folder", "database", "schema", "admin key", "clock", "disk",
        "repository trixie/dists/stable", "archive key", "builder key", "port",
    }  # fmt: skip
    shown = CliRunner().invoke(main, ["doctor", "--config", str(file)])
    assert (shown.exit_code, len(shown.stdout.splitlines())) == (0, len(found))
    assert (tmp_path / "state" / "repo_server.db").read_bytes() == content


class Case(NamedTuple):
    check: str
    level: str
    words: str
    mend: str


def fails(file: Path, case: Case) -> None:
    status, found = doctor(file)
    one = found[case.check]
    assert one["level"] == case.level
    assert case.words in one["words"]
    assert case.mend in (one["mend"] or "")
    assert status == (1 if case.level == "fail" else 0)
    assert case.mend in CliRunner().invoke(main, ["doctor", "--config", str(file)]).stdout


def test_settings_that_cannot_be_used(file: Path) -> None:
    file.write_text("colour = 1\n")
    fails(file, Case("settings", "fail", "unknown setting 'colour'", "mend the settings file"))


def test_no_state_folder(file: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "state")
    fails(file, Case("state folder", "fail", "is not there", f"repo-server init --state {tmp_path}/state"))
    fails(file, Case("database", "fail", "no database", "repo-server init"))


def test_a_state_folder_that_others_may_read(file: Path, tmp_path: Path) -> None:
    (tmp_path / "state").chmod(0o755)
    fails(file, Case("state folder", "fail", "open to other users (drwxr-xr-x)", f"chmod 700 {tmp_path}/state"))


def test_a_file_that_is_no_database(file: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / "repo_server.db").write_bytes(b"nonsense" * 1_000)
    fails(file, Case("database", "fail", "cannot be used", "repo-server restore"))


def test_a_damaged_database(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "state" / "repo_server.db"
    database(tmp_path, "PRAGMA journal_mode=DELETE")
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 4 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    fails(file, Case("database", "fail", "", "repo-server restore"))


def test_a_newer_and_an_older_schema(file: Path, tmp_path: Path) -> None:
    database(tmp_path, "DELETE FROM _sqlite_migrations WHERE name = (SELECT max(name) FROM _sqlite_migrations)")
    fails(file, Case("schema", "warn", "1 steps will be done at the next start", "systemctl restart"))
    database(
        tmp_path, "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('repo_server', '0999', 'x')"
    )
    fails(file, Case("schema", "fail", "newer repo-server", ""))


@pytest.mark.parametrize(
    "change",
    ["revoked_at = '2026-01-01T00:00:00Z'", "expires_at = '2026-01-01T00:00:00Z'", "role = 'viewer'"],
)
def test_no_admin_key_that_counts(file: Path, tmp_path: Path, change: str) -> None:
    database(tmp_path, f"UPDATE api_keys SET {change}")
    fails(file, Case("admin key", "fail", "no valid key", "repo-server api-key create --role admin"))


def test_a_clock_that_was_set_back(file: Path, tmp_path: Path) -> None:
    later = times.render(NOW + timedelta(hours=3))
    database(
        tmp_path,
        f"INSERT INTO audit_log (at, who, action, subject, detail) VALUES ('{later}', 'x', 'x', 'x', '{{}}')",
    )
    fails(file, Case("clock", "fail", later, "sudo timedatectl set-ntp true"))


@pytest.mark.parametrize(
    ("free", "level"), [(10 << 30, "ok"), (300 << 20, "warn"), (20 << 20, "fail"), (3 << 30, "warn")]
)
def test_a_disk_that_fills(file: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = shutil._ntuple_diskusage(100 << 30, (100 << 30) - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    fails(file, Case("disk", level, f"{free >> 20} MiB", "" if level == "ok" else "make room"))


@pytest.mark.parametrize(
    ("age", "ended", "level", "words"),
    [
        (timedelta(days=3), None, "warn", "frozen copy"),
        (timedelta(days=7, minutes=1), None, "fail", "devices refuse it since"),
        (timedelta(hours=1), timedelta(minutes=1), "fail", "not valid any more"),
    ],
    ids=["old", "refused", "over"],
)
def test_a_repository_that_is_not_signed_anew(
    file: Path, tmp_path: Path, *, age: timedelta, ended: timedelta | None, level: str, words: str
) -> None:
    more = "" if ended is None else f"Valid-Until: {NOW - ended:%a, %d %b %Y %H:%M:%S} UTC\n"
    sign(tmp_path, NOW - age, more)
    fails(file, Case("repository trixie/dists/stable", level, words, "pkgbuild resign"))


@pytest.mark.parametrize(
    ("role", "days", "level", "words"),
    [
        ("archive", 60, "warn", "in 59 days"),
        ("archive", -1, "fail", "devices refuse the repository"),
        ("builder", 60, "warn", "in 59 days"),
        ("builder", -1, "warn", "has expired at"),
    ],
)
def test_a_key_that_expires_is_said_sixty_days_ahead(
    file: Path, tmp_path: Path, *, role: str, days: int, level: str, words: str
) -> None:
    line = f"K1 {NOW + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    publish_keys(tmp_path, *((line,) if role == "archive" else ("A1 never", line)))
    fails(file, Case(f"{role} key", level, words, f"pkgbuild keys extend {role}"))


def test_keys_that_are_not_published_are_said(file: Path, tmp_path: Path) -> None:
    for index in (tmp_path / "state" / "public").rglob("Packages"):
        index.unlink()
    fails(file, Case("signing keys", "warn", "no package with the fleet's keys", "pkgbuild keys publish"))


def test_an_agent_that_is_not_published_is_said(file: Path, tmp_path: Path) -> None:
    publish_keys(tmp_path, "A1 never", agent="")
    fails(file, Case("agent", "warn", "a new Pi cannot fetch it", "release-agent"))


def test_nothing_published_yet(file: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "state" / "public")
    fails(file, Case("repository", "warn", "nothing is published yet", "release-agent"))
    (tmp_path / "state" / "public").mkdir()
    fails(file, Case("repository", "warn", "nothing is published", "release-agent"))


def test_nobody_and_somebody_else_at_the_port(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        text = file.read_text()
        file.write_text(text.replace("port = ", "port = 0 # ").replace("0 # ", f"{other.getsockname()[1]} # "))
        done = threading.Event()

        def answer() -> None:
            for _ in range(2):
                connection, _ = other.accept()
                with connection:
                    connection.sendall(b"220 mail.example.org ESMTP\r\n")
                    connection.recv(1_000)
            done.set()

        threading.Thread(target=answer, daemon=True).start()
        fails(file, Case("port", "fail", "something else listens", "ss -lntp"))
        assert done.wait(30)
    fails(file, Case("port", "warn", "nobody listens", "systemctl start pi-ota-server"))


def test_copies_of_the_database_that_are_old_or_not_made(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    file.write_text(f'backup_dir = "{folder}"\n' + file.read_text())
    fails(file, Case("backup", "warn", "No such file", "make -C /opt/pi-ota install-server"))
    folder.mkdir()
    (folder / "notes.txt").touch()
    fails(file, Case("backup", "warn", "there is no copy", "sudo systemctl start pi-ota-backup"))
    backups.place(folder, NOW - timedelta(days=2, minutes=1)).touch()
    fails(file, Case("backup", "warn", "the newest copy", "enable --now pi-ota-backup.timer"))
    backups.place(folder, NOW - timedelta(days=2) + timedelta(minutes=5)).touch()
    fails(file, Case("backup", "ok", "was copied at", ""))
