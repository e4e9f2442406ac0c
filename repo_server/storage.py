"""Copies of the database: made while the server runs, checked, and brought back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import sqlite_utils

from repo_server import migrations
from repo_server.errors import RepoServerError, SchemaError

_SHOWN = 5


class StorageError(RepoServerError):
    """A copy cannot be made, used or brought back."""


def backup(database: Path, target: Path) -> int:
    """Copy ``database`` to the file ``target`` as it is at one instant, also while a server writes; returns its bytes.

    Nobody has to wait for it. The copy is 0600, checked, and there as a whole or not at all; an existing ``target`` is
    replaced. Raises ``StorageError`` and ``OSError``.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        try:
            _copy(database, part)
            found = problems(part)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # busy, a full disk
            found = [str(error)]
        if found:
            raise StorageError(f"{database} is damaged, so no backup was made: {found[0]}; restore an earlier one")
        _into_place(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def problems(database: Path) -> list[str]:
    """What is wrong with a database file, a sentence each, by SQLite's own full check; none where it is sound.

    Reads all of it: seconds for a large fleet. Nobody has to wait for it.
    """
    try:
        with closing(_open(database)) as connection:
            found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_SHOWN})") if row[0] != "ok"]
            strays = connection.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN)
            return found + [f"a row of {table} refers to a missing row of {parent}" for table, _, parent, _ in strays]
    except sqlite3.DatabaseError as error:
        return [str(error)]


def restore(source: Path, database: Path, now: datetime) -> Path | None:
    """Put the backup ``source`` in the place of ``database``; returns where the old one was put, if there was one.

    Raises ``StorageError`` where a server (or anything else) has the database open, or the backup is damaged or of a
    newer program, and then nothing was changed.
    """
    _check_backup(source)
    aside = None
    if database.exists():
        _close_for_all(database)
        aside = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    part = database.with_name(database.name + ".part")
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as to, source.open("rb") as given:
            shutil.copyfileobj(given, to)
        if aside is not None:
            _put_aside(database, aside)
        _into_place(part, database)
    finally:
        part.unlink(missing_ok=True)
    return aside


def _copy(database: Path, to: Path) -> None:
    with closing(_open(database)) as source, closing(sqlite3.connect(to)) as target:
        # In one step, from one snapshot: in several it would begin anew with each commit of the server.
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it


def _open(database: Path) -> sqlite3.Connection:
    """For reading alone. Raises ``StorageError`` where there is no such file: SQLite would make an empty one."""
    if not database.is_file():
        raise StorageError(f"there is no file {database}")
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _check_backup(source: Path) -> None:
    found = problems(source)
    if found:
        raise StorageError(f"{source} is damaged and was not restored: {found[0]}; take another backup")
    with closing(_open(source)) as connection:
        tables = sqlite_utils.Database(connection)
        if "devices" not in tables.table_names():
            raise StorageError(f"{source} is no backup of a repo-server: it has no table of devices")
        try:
            migrations.refuse_newer(tables)
        except SchemaError as error:
            raise StorageError(f"{source} was not restored: {error}") from None


def _close_for_all(database: Path) -> None:
    """Bring the write-ahead log into the file. SQLite does so only where nobody else has it open."""
    try:
        with closing(sqlite3.connect(database, timeout=1)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise StorageError(
                f"a server is running on {database}, or another program has it open; stop it first "
                "(`systemctl stop pi-ota-server.socket pi-ota-server`), then restore again"
            ) from None
        raise
    except sqlite3.DatabaseError:
        return  # damaged: it goes aside as it is, with its log


def _put_aside(database: Path, aside: Path) -> None:
    """Under a second name; the first is replaced at once, so that there is a database at every instant."""
    os.link(database, aside)
    for beside in ("-wal", "-shm"):  # of a damaged one: another database's log must not be taken for the new one's
        with suppress(FileNotFoundError):
            database.with_name(database.name + beside).rename(aside.with_name(aside.name + beside))


def _into_place(part: Path, target: Path) -> None:
    """Durably, by one rename."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
