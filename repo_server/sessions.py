"""An API key is exchanged for a session, so that a browser need not keep the key: begun, used, ended, forgotten.

A session stands for its key: it can do what the key can do at that moment, ends with the key, and appears under the
key's name in the log and the audit log.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import datetime

from repo_server import ids
from repo_server.db import Database, Durability
from repo_server.session_life import Life, Times, is_a_new_use, lasts
from repo_server.store import audit
from repo_server.store import sessions as store
from repo_server.store.credentials import ApiKey
from repo_server.store.sessions import Session

MOST_PER_KEY = 20
"""The one that was used the longest ago makes room for another."""


def begin(db: Database, key: ApiKey, now: datetime) -> tuple[Session, str]:
    """A session for a key that was presented just now; returns it and its secret, which is stored nowhere."""
    secret = ids.new_secret("pis")

    def work(connection: sqlite3.Connection) -> Session:
        for pushed_out in store.delete_least_used(connection, key.id, MOST_PER_KEY - 1):
            audit.record(connection, now, audit.SERVER, "session.end", pushed_out, why="too many of one key")
        session_id = store.insert(connection, key.id, secret, now)
        audit.record(connection, now, f"key:{key.name}", "session.create", session_id)
        return Session(session_id, key, Times(now, now, key.expires_at))

    return db.write(work), secret


def find(db: Database, secret: str, life: Life, now: datetime) -> Session | None:
    """The session with this secret, where it still lasts."""
    found = store.find(db.connection(), secret)
    return found if found is not None and lasts(found.times, life, now) else None


def use(db: Database, session: Session, now: datetime) -> None:
    """It is used now, so it lasts on."""
    if is_a_new_use(session.times, now):
        # Who may look may look also while nothing can be written; the session then ends earlier.
        with suppress(sqlite3.OperationalError):
            db.write(lambda connection: store.used(connection, session.id, now), Durability.CRASH)


def end(db: Database, session: Session, now: datetime) -> None:
    """Sign out; the secret is worthless from now on."""

    def work(connection: sqlite3.Connection) -> None:
        if store.delete(connection, session.id):
            audit.record(connection, now, f"key:{session.key.name}", "session.end", session.id)

    db.write(work)


def of_key(db: Database, key_id: str, life: Life, now: datetime) -> list[Session]:
    """The sessions of a key that still last, the one that was used last first."""
    return [one for one in store.of_key(db.connection(), key_id) if lasts(one.times, life, now)]


def forget_ended(db: Database, life: Life, now: datetime) -> int:
    """Delete what has ended by itself; returns how many."""
    if not store.any_ended(db.connection(), life, now):
        return 0
    return db.write(lambda connection: store.delete_ended(connection, life, now), Durability.CRASH)
