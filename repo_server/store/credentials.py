"""API keys and enrollment tokens. Only SHA-256 hashes of 256-bit secrets are stored."""

from __future__ import annotations

import hmac
import sqlite3
from dataclasses import dataclass
from datetime import datetime

import sqlite_utils

from repo_server import ids, times
from repo_server.roles import Role
from repo_server.store import audit


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that was presented and is valid."""

    id: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class EnrollmentToken:
    """A token that exists; whether it may register one more device is ``refusal``'s answer."""

    id: str
    name: str
    expires_at: datetime | None
    uses_allowed: int | None
    uses: int

    def refusal(self, now: datetime) -> str | None:
        """Why no further device may be registered with it, or None."""
        if self.expires_at is not None and now >= self.expires_at:
            return "this enrollment token has expired"
        if self.uses_allowed is not None and self.uses >= self.uses_allowed:
            return "this enrollment token is used up"
        return None


def create_api_key(tables: sqlite_utils.Database, name: str, role: Role, who: str, now: datetime) -> str:
    """Store a new key; returns its secret, which cannot be read again."""
    secret = ids.new_secret("pik")
    key_id = _insert(tables, "api_keys", secret, now, name=name, role=str(role))
    audit.record(tables.conn, now, who, "api_key.create", key_id, name=name, role=str(role))
    return secret


def create_enrollment_token(
    tables: sqlite_utils.Database,
    name: str,
    who: str,
    now: datetime,
    *,
    uses_allowed: int | None,
    expires_at: datetime | None,
) -> str:
    """Store a new token; returns its secret, which cannot be read again."""
    secret = ids.new_secret("pie")
    expires = times.render(expires_at) if expires_at is not None else None
    token_id = _insert(
        tables, "enrollment_tokens", secret, now, name=name, uses=0, uses_allowed=uses_allowed, expires_at=expires
    )
    audit.record(
        tables.conn, now, who, "enrollment_token.create", token_id, name=name, uses=uses_allowed, expires_at=expires
    )
    return secret


def find_api_key(connection: sqlite3.Connection, secret: str) -> ApiKey | None:
    """The key with this secret, unless it was revoked."""
    row = _find(connection, "api_keys", secret)
    return ApiKey(row["id"], row["name"], Role(row["role"])) if row is not None else None


def find_enrollment_token(connection: sqlite3.Connection, secret: str) -> EnrollmentToken | None:
    """The token with this secret, also when it is expired or used up, unless it was revoked."""
    row = _find(connection, "enrollment_tokens", secret)
    if row is None:
        return None
    expires_at = times.parse(row["expires_at"]) if row["expires_at"] is not None else None
    return EnrollmentToken(row["id"], row["name"], expires_at, row["uses_allowed"], row["uses"])


def count_use(connection: sqlite3.Connection, token_id: str) -> None:
    """One more device was registered with the token."""
    connection.execute("UPDATE enrollment_tokens SET uses = uses + 1 WHERE id = ?", (token_id,))


def matches(secret: str, stored_sha256: str) -> bool:
    """Whether a secret is the one whose hash is stored, in constant time."""
    return hmac.compare_digest(ids.sha256_hex(secret), stored_sha256)


def _find(connection: sqlite3.Connection, table: str, secret: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM {table} WHERE secret_sha256 = ? AND revoked_at IS NULL",  # noqa: S608 - the table is named here
        (ids.sha256_hex(secret),),
    ).fetchone()
    # The index has compared hashes already, which tells nothing about a 256-bit secret; this is for the reader's peace.
    return row if row is not None and matches(secret, row["secret_sha256"]) else None


def _insert(tables: sqlite_utils.Database, table: str, secret: str, now: datetime, **values: str | int | None) -> str:
    identifier = ids.uuid7(now)
    row = {"id": identifier, "secret_sha256": ids.sha256_hex(secret), "created_at": times.render(now), **values}
    tables.table(table).insert(row)
    return identifier
