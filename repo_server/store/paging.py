"""Keyset paging: a cursor is the key of the last item shown, so pages stay right while rows come and go."""

from __future__ import annotations

import base64
import binascii
import json
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
    """Rows of ``select`` that meet every ``(sql with ?, value)`` condition (None: none), in order of ``key``.

    ``select``, the conditions' sql and ``key`` are our own text, never a client's. A tuple is for several ``?``.
    """
    found, after = rows(connection, select, conditions, key=key, limit=limit, cursor=cursor, descending=descending)
    return Page(items=[make(row) for row in found], next_cursor=after)


def rows(
    connection: sqlite3.Connection,
    select: str,
    conditions: Iterable[tuple[str, object] | None],
    *,
    key: str,
    limit: int,
    cursor: str | None,
    descending: bool = False,
    sort: str | None = None,
) -> tuple[list[sqlite3.Row], str | None]:
    """The rows of one page, and the cursor of the next.

    ``sort``: an expression that comes before ``key`` in the order, and that ``select`` gives as ``sorted_by``; a text
    and never null.
    """
    given = [condition for condition in conditions if condition is not None]
    where = [sql for sql, _ in given]
    values = [one for _, value in given for one in (value if isinstance(value, tuple) else (value,))]
    order = [key] if sort is None else [sort, key]
    if cursor is not None:
        last = _last(cursor, sort is not None)
        where.append(f"({', '.join(order)}) {'<' if descending else '>'} ({', '.join('?' * len(last))})")
        values += last
    direction = "DESC" if descending else "ASC"
    found = connection.execute(
        f"{select} WHERE {' AND '.join(where) or '1'} ORDER BY {', '.join(f'{one} {direction}' for one in order)}"
        " LIMIT ?",
        [*values, limit + 1],
    ).fetchall()
    if len(found) <= limit:
        return found, None
    found = found[:limit]
    last_key = str(found[-1][key.rpartition(".")[2]])
    return found, encode(last_key if sort is None else json.dumps([found[-1]["sorted_by"], last_key]))


def _last(cursor: str, sorted_by_more: bool) -> list[str]:
    """The values at which the last page ended. Raises ``InvalidError``: the cursor is of another order."""
    text = decode(cursor)
    if not sorted_by_more:
        return [text]
    try:
        match json.loads(text):
            case [str(value), str(key)]:
                return [value, key]
    except ValueError:
        pass
    raise InvalidError("cursor: is of a list in another order; begin again without it")
