"""Keyset paging: a cursor is the key of the last item shown, so pages stay right while rows come and go."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Callable, Iterable

from repo_server.answers import Item, Page
from repo_server.errors import InvalidError


def encode(key: str) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The key in a cursor. Raises ``InvalidError`` where it is none of ours."""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidError("cursor: is not one that this server gave; begin again without it") from None
    return key


def page(
    connection: sqlite3.Connection,
    select: str,
    conditions: Iterable[tuple[str, object] | None],
    *,
    key: str,
    limit: int,
    cursor: str | None,
    make: Callable[[sqlite3.Row], Item],
    descending: bool = False,
) -> Page[Item]:
    """Rows of ``select`` that meet every ``(sql with one ?, value)`` condition (None: none), in order of ``key``.

    ``select``, the conditions' sql and ``key`` are our own text, never a client's.
    """
    given = [condition for condition in conditions if condition is not None]
    if cursor is not None:
        given.append((f"{key} {'<' if descending else '>'} ?", decode(cursor)))
    where = " AND ".join(sql for sql, _ in given) or "1"
    direction = "DESC" if descending else "ASC"
    rows = connection.execute(
        f"{select} WHERE {where} ORDER BY {key} {direction} LIMIT ?",
        [*(value for _, value in given), limit + 1],
    ).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    items = [make(row) for row in rows]
    return Page(items=items, next_cursor=encode(str(rows[-1][key.rpartition(".")[2]])) if more else None)
