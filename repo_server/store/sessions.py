"""Sessions. Only SHA-256 hashes of their secrets are stored; the role is the key's own, whatever it is by now."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from repo_server import ids, times
from repo_server.roles import Role
from repo_server.session_life import Life, Times
from repo_server.store.credentials import ApiKey, matches

_OF_GOOD_KEYS = (
    "SELECT sessions.id, sessions.secret_sha256, sessions.created_at, last_used_at, key_id, name, role, expires_at"
    " FROM sessions JOIN api_keys ON api_keys.id = key_id WHERE revoked_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Session:
    """One that exists, of a key that was not revoked; whether it still lasts is ``session_life``'s answer."""

    id: str
    key: ApiKey
    times: Times


def insert(connection: sqlite3.Connection, key_id: str, secret: str, now: datetime) -> str:
    """A new session; returns its id."""
    identifier, at = ids.uuid7(now), times.render(now)
    connection.execute(
        "INSERT INTO sessions (id, secret_sha256, key_id, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)",
        (identifier, ids.sha256_hex(secret), key_id, at, at),
    )
    return identifier


def find(connection: sqlite3.Connection, secret: str) -> Session | None:
    """The session with this secret, also one that has ended meanwhile, unless its key was revoked.

    Looked for as ``credentials.by_secret`` does.
    """
    row = connection.execute(f"{_OF_GOOD_KEYS} AND sessions.secret_sha256 = ?", (ids.sha256_hex(secret),)).fetchone()
    if row is None or not matches(secret, row["secret_sha256"]):
        return None
    return _session(row)


def of_key(connection: sqlite3.Connection, key_id: str) -> list[Session]:
    """Those of a key, the one that was used last first; also those that have ended meanwhile."""
    rows = connection.execute(f"{_OF_GOOD_KEYS} AND key_id = ? ORDER BY last_used_at DESC, sessions.id DESC", (key_id,))
    return [_session(row) for row in rows]


def last_used(connection: sqlite3.Connection, key_ids: Collection[str]) -> dict[str, datetime]:
    """When each of these keys was last used through a session that is still kept; without those that have none."""
    marks = ", ".join("?" * len(key_ids))
    rows = connection.execute(
        f"SELECT key_id, max(last_used_at) FROM sessions WHERE key_id IN ({marks}) GROUP BY key_id",  # noqa: S608 - marks only
        [*key_ids],
    )
    return {key_id: times.parse(at) for key_id, at in rows}


def _session(row: sqlite3.Row) -> Session:
    key = ApiKey(row["key_id"], row["name"], Role(row["role"]), times.parse_known(row["expires_at"]))
    spans = Times(times.parse(row["created_at"]), times.parse(row["last_used_at"]), key.expires_at)
    return Session(row["id"], key, spans)


def used(connection: sqlite3.Connection, session_id: str, now: datetime) -> None:
    """It was used at ``now``."""
    connection.execute("UPDATE sessions SET last_used_at = ? WHERE id = ?", (times.render(now), session_id))


def delete(connection: sqlite3.Connection, session_id: str) -> bool:
    """End it; False where it had ended before."""
    return connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount == 1


def delete_of_key(connection: sqlite3.Connection, key_id: str) -> None:
    """End all that stand for a key."""
    connection.execute("DELETE FROM sessions WHERE key_id = ?", (key_id,))


def delete_least_used(connection: sqlite3.Connection, key_id: str, keep: int) -> list[str]:
    """Leave a key the ``keep`` sessions that were used last; returns the ids of those that went."""
    gone = connection.execute(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE key_id = ?"
        " ORDER BY last_used_at DESC, id DESC LIMIT -1 OFFSET ?) RETURNING id",
        (key_id, keep),
    ).fetchall()
    return [row["id"] for row in gone]


_ENDED = (
    "FROM sessions WHERE created_at <= ? OR last_used_at <= ?"
    " OR key_id IN (SELECT id FROM api_keys WHERE revoked_at IS NOT NULL OR expires_at <= ?)"
)


def any_ended(connection: sqlite3.Connection, life: Life, now: datetime) -> bool:
    """Whether ``delete_ended`` has anything to do."""
    found = connection.execute(f"SELECT EXISTS (SELECT 1 {_ENDED})", _bounds(life, now)).fetchone()
    return bool(found[0])


def delete_ended(connection: sqlite3.Connection, life: Life, now: datetime) -> int:
    """Forget those that have ended; returns how many."""
    return connection.execute(f"DELETE {_ENDED}", _bounds(life, now)).rowcount


def count(connection: sqlite3.Connection) -> int:
    """How many there are."""
    return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def _bounds(life: Life, now: datetime) -> tuple[str, str, str]:
    return times.render(now - life.most), times.render(now - life.idle), times.render(now)
