"""The SQLite file: a connection per thread, one short write transaction at a time.

All writing goes through ``Database.write``. It runs the work at once under a lock; the lock, and ``Durability`` as what
the caller asks for rather than how it is done, are the seam for a group commit shared by concurrent requests.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import sqlite_utils

from repo_server import migrations

_T = TypeVar("_T")


class Durability(StrEnum):
    """What an acknowledged write survives; the words are those of ``PRAGMA synchronous`` in WAL mode."""

    CRASH = "NORMAL"
    """The end of the process: heartbeats."""
    POWER_CUT = "FULL"
    """The end of the machine: everything else."""


class Database:
    """One SQLite file. Raises ``SchemaError`` on opening where a newer program has written it."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 5.0) -> None:
        self.path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._local = threading.local()
        self._writing = threading.Lock()
        self._opened: list[sqlite3.Connection] = []
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        try:
            migrations.migrate(self.tables())
        except BaseException:
            self.close()
            raise

    def connection(self) -> sqlite3.Connection:
        """The thread's connection, in autocommit; rows by name. For reading, and for the work given to ``write``."""
        existing: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if existing is not None:
            return existing
        # check_same_thread only so that close() may close all of them; each is used by its own thread alone.
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_seconds, isolation_level=None, check_same_thread=False
        )
        self._opened.append(connection)  # first of all: what follows fails on a file that is no database
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA synchronous={Durability.POWER_CUT}")
        self._local.connection = connection
        self._local.durability = Durability.POWER_CUT
        return connection

    def tables(self) -> sqlite_utils.Database:
        """The thread's connection as sqlite-utils sees it; inside ``write`` it joins the transaction."""
        existing: sqlite_utils.Database | None = getattr(self._local, "tables", None)
        if existing is None:
            existing = self._local.tables = sqlite_utils.Database(self.connection())
        return existing

    def write(self, work: Callable[[sqlite3.Connection], _T], durability: Durability = Durability.POWER_CUT) -> _T:
        """Run ``work`` in a write transaction of its own; committed when this returns, rolled back when it raises.

        ``work`` must be quick and free of other effects. Raises ``sqlite3.OperationalError`` (busy) where another
        process holds the file for longer than the busy timeout.
        """
        connection = self.connection()
        with self._writing:
            if self._local.durability is not durability:
                connection.execute(f"PRAGMA synchronous={durability}")
                self._local.durability = durability
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def close(self) -> None:
        """Close the connections of all threads; nothing may use this object afterwards."""
        while self._opened:
            self._opened.pop().close()
