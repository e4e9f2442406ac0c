"""The SQLite file: one connection that writes, and one for reading in each thread.

All writing goes through ``Database.write``, where concurrent requests share a transaction (``group_commit``). The other
connections cannot write, so that nothing goes past it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar, cast

import sqlite_utils

from repo_server import migrations
from repo_server.batches import Batches
from repo_server.errors import SchemaError
from repo_server.events import Event, Writer
from repo_server.group_commit import Durability, GroupCommit

__all__ = ["Database", "Durability"]

_T = TypeVar("_T")
_C = TypeVar("_C", bound=sqlite3.Connection)

_READER_CACHE_KIB = 512
"""Small: there is one a thread, and each commit makes it worthless."""
_WRITER_CACHE_KIB = 8 * 1024
_STATEMENTS = 256
_LONGEST_LOG_PAGES = 8 * 1024
"""32 MiB."""
_REMEMBERED = 1_000
"""Bounds what devices that name many assistants can make the server keep."""


class Database:
    """One SQLite file. Raises ``SchemaError`` on opening where a newer program has written it."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 5.0) -> None:
        """Open ``path``, made or migrated where needed. Raises ``SchemaError``: of a newer program, or damaged."""
        self.path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        try:
            self._writer = self._open(_WRITER_CACHE_KIB, Writer)
            migrations.migrate(sqlite_utils.Database(self._writer))
        except BaseException as error:
            self.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise SchemaError(
                    f"{path} is damaged ({error}); `repo-server restore` puts a backup in its place and keeps it aside"
                ) from error
            raise
        self._commits = GroupCommit(self._writer)
        self._tables = _Tables(self)
        self._remembered: dict[Hashable, object] = {}
        self._remembered_at = 0

    def connection(self) -> sqlite3.Connection:
        """The thread's connection for reading, in autocommit; rows by name.

        In a work given to ``write`` it is the connection of the transaction.
        """
        if self._commits.mine:
            return self._writer
        existing: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if existing is not None:
            return existing
        connection = self._open(_READER_CACHE_KIB, sqlite3.Connection)
        connection.execute("PRAGMA query_only=ON")
        self._local.connection = connection
        return connection

    def tables(self) -> sqlite_utils.Database:
        """``connection()`` as sqlite-utils sees it; inside ``write`` it joins the transaction."""
        return self._tables

    def write(self, work: Callable[[sqlite3.Connection], _T], durability: Durability = Durability.POWER_CUT) -> _T:
        """Run ``work`` in a write transaction; committed when this returns, rolled back when it raises.

        Others' works may be in the same transaction, before and after it, in the order in which they came; none sees
        another's half. ``work`` may run in another thread, and more than once; it must be quick and free of other
        effects. Raises
        ``sqlite3.OperationalError`` where the file cannot be written: another process holds it for longer than the busy
        timeout, the disk is full.
        """
        return self._commits.run(work, durability)

    @property
    def batches(self) -> Batches:
        """How many writes have shared a transaction."""
        return self._commits.batches

    @property
    def writes_waiting(self) -> int:
        """How many writes wait for their transaction."""
        return self._commits.waiting

    def after_commit(self, tell: Callable[[list[Event]], None]) -> None:
        """Have ``tell`` called with the events of each transaction (``events.note``) once it is on disk.

        It is called while others wait to write: it must neither wait nor fail.
        """
        self._commits.after_commit = tell

    def remember(self, key: Hashable, load: Callable[[], _T]) -> _T:
        """What ``load`` reads, kept until anything but a heartbeat is written, here or by another process.

        Only inside a work, where nothing changes meanwhile. What it gives must not be changed.
        """
        if self._remembered_at != self._commits.epoch or len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
            self._remembered_at = self._commits.epoch
        if key not in self._remembered:
            self._remembered[key] = load()
        return cast("_T", self._remembered[key])

    def leave_checkpoints(self) -> None:
        """Leave them to calls of ``checkpoint``: a commit makes one itself only where those have not kept up."""
        self.write(
            lambda connection: connection.execute(f"PRAGMA wal_autocheckpoint={_LONGEST_LOG_PAGES}"), Durability.CRASH
        )

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the database as far as it goes without anybody waiting."""
        self.connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        """Close the connections of all threads; nothing may use this object afterwards."""
        while self._opened:
            self._opened.pop().close()

    def _open(self, cache_kib: int, factory: type[_C]) -> _C:
        # check_same_thread: close() may close all of them, and the writer goes from thread to thread.
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
            factory=factory,
        )
        self._opened.append(connection)  # first of all: what follows fails on a file that is no database
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
        connection.execute(f"PRAGMA synchronous={Durability.POWER_CUT}")
        return connection


class _Tables(sqlite_utils.Database):
    """Of whichever connection is the right one at the time; to sqlite-utils ``conn`` is an attribute that it sets."""

    def __init__(self, db: Database) -> None:
        self._db = db
        super().__init__(db.connection())

    @property
    def conn(self) -> sqlite3.Connection:
        return self._db.connection()

    @conn.setter
    def conn(self, _: sqlite3.Connection) -> None:
        pass
