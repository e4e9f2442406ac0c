"""Rows into tables, many at once."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime

from repo_server import times


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Insert rows that all have the columns of the first; none of them is committed yet."""
    every = iter(rows)
    first = next(every, None)
    if first is None:
        return
    names = ", ".join(first)
    places = ", ".join(f":{name}" for name in first)
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", itertools.chain([first], every))


def text(at: datetime | None) -> str | None:
    """A time as the database holds it."""
    return times.render(at) if at is not None else None
