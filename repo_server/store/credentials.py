"""API keys and enrollment tokens. Only SHA-256 hashes of 256-bit secrets are stored."""

from __future__ import annotations

import hmac
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlite_utils

from repo_server import answers_identity as answers
from repo_server import ids, times, wire
from repo_server.answers import Page
from repo_server.roles import Role
from repo_server.store import audit
from repo_server.store.paging import page

API_KEYS = "api_keys"
ENROLLMENT_TOKENS = "enrollment_tokens"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that was presented and is valid."""

    id: str
    name: str
    role: Role
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EnrollmentToken:
    """A token that exists; whether it may register one more device is ``refusal``'s answer."""

    id: str
    name: str
    expires_at: datetime | None
    uses_allowed: int | None
    uses: int
    group: str | None = None
    channel: str | None = None
    approval: bool = False

    def refusal(self, now: datetime) -> str | None:
        """Why no further device may be registered with it, or None."""
        if self.expires_at is not None and now >= self.expires_at:
            return "this enrollment token has expired"
        if self.uses_allowed is not None and self.uses >= self.uses_allowed:
            return "this enrollment token is used up"
        return None


@dataclass(frozen=True, slots=True)
class Preset:
    """What a token decides about the devices that register with it."""

    group: str | None = None
    channel: str | None = None
    """Wins over the channel that a device asks for."""
    approval: bool = False
    """Whether an operator has to approve each device."""
    recovery: bool = False
    """Nobody presents it: while it lasts, devices that are not known here may ask for approval with their own token."""


def create_api_key(
    tables: sqlite_utils.Database, name: str, role: Role, who: str, now: datetime, *, expires_at: datetime | None = None
) -> str:
    """Store a new key; returns its secret, which cannot be read again."""
    secret = ids.new_secret("pik")
    values = {"name": name, "role": str(role), "expires_at": _text(expires_at)}
    key_id = _insert(tables, API_KEYS, secret, now, **values)
    audit.record(tables.conn, now, who, "api_key.create", key_id, after=values)
    return secret


def create_enrollment_token(
    tables: sqlite_utils.Database,
    name: str,
    who: str,
    now: datetime,
    *,
    uses_allowed: int | None,
    expires_at: datetime | None,
    preset: Preset | None = None,
) -> str:
    """Store a new token; returns its secret, which cannot be read again."""
    secret, given = ids.new_secret("pie"), preset or Preset()
    values: dict[str, str | int | None] = {
        "name": name,
        "uses_allowed": uses_allowed,
        "expires_at": _text(expires_at),
        "group_name": given.group,
        "channel": given.channel,
        "approval": int(given.approval or given.recovery),
        "recovery": int(given.recovery),
    }
    token_id = _insert(tables, ENROLLMENT_TOKENS, secret, now, uses=0, **values)
    audit.record(tables.conn, now, who, "enrollment_token.create", token_id, after=values)
    return secret


def find_api_key(connection: sqlite3.Connection, secret: str, now: datetime) -> ApiKey | None:
    """The key with this secret, unless it was revoked or has expired."""
    row = by_secret(connection, API_KEYS, secret)
    if row is None or row["revoked_at"] is not None or not _lasts(row, now):
        return None
    return ApiKey(row["id"], row["name"], Role(row["role"]), times.parse_known(row["expires_at"]))


def find_enrollment_token(connection: sqlite3.Connection, secret: str) -> EnrollmentToken | None:
    """The token with this secret, also when it is expired or used up, unless it was revoked."""
    row = by_secret(connection, ENROLLMENT_TOKENS, secret)
    return _presented(row) if row is not None and row["revoked_at"] is None and not row["recovery"] else None


def find_recovery(connection: sqlite3.Connection, now: datetime) -> EnrollmentToken | None:
    """The recovery that is open now, the oldest first."""
    row = connection.execute(
        "SELECT * FROM enrollment_tokens WHERE recovery = 1 AND revoked_at IS NULL AND expires_at > ?"
        " AND uses < uses_allowed ORDER BY id LIMIT 1",
        (times.render(now),),
    ).fetchone()
    return _presented(row) if row is not None else None


def _presented(row: sqlite3.Row) -> EnrollmentToken:
    return EnrollmentToken(
        row["id"],
        row["name"],
        times.parse_known(row["expires_at"]),
        row["uses_allowed"],
        row["uses"],
        row["group_name"],
        row["channel"],
        bool(row["approval"]),
    )


def by_secret(connection: sqlite3.Connection, table: str, secret: str) -> sqlite3.Row | None:
    """The row of a key or token, in whatever state it is.

    The index compares hashes, byte by byte. That tells a stranger nothing: to steer the hash of what he sends towards a
    stored one he would have to find preimages of SHA-256, and the secret has 256 random bits. ``matches`` compares the
    whole hash once more in constant time, so that this does not rest on how SQLite compares.
    """
    row: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM {table} WHERE secret_sha256 = ?",  # noqa: S608 - the table is named here
        (ids.sha256_hex(secret),),
    ).fetchone()
    return row if row is not None and matches(secret, row["secret_sha256"]) else None


def count_use(connection: sqlite3.Connection, token_id: str) -> None:
    """One more device was registered with the token."""
    connection.execute("UPDATE enrollment_tokens SET uses = uses + 1 WHERE id = ?", (token_id,))


def matches(secret: str, stored_sha256: str) -> bool:
    """Whether a secret is the one whose hash is stored, in constant time."""
    return hmac.compare_digest(ids.sha256_hex(secret), stored_sha256)


def is_one_of(token_sha256: str, *stored: str | None) -> bool:
    """Whether a hash is one of those stored, in constant time for each of them; None is no hash."""
    found = [hmac.compare_digest(token_sha256, one) for one in stored if one is not None]
    return any(found)


def find(connection: sqlite3.Connection, table: str, identifier: str) -> sqlite3.Row | None:
    """The row with this id."""
    row: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM {table} WHERE id = ?",  # noqa: S608 - the table is named here
        (identifier,),
    ).fetchone()
    return row


def revoke(connection: sqlite3.Connection, table: str, identifier: str, now: datetime) -> bool:
    """Make a key or token worthless from now on; False where it was before."""
    done = connection.execute(
        f"UPDATE {table} SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",  # noqa: S608 - the table is named here
        (times.render(now), identifier),
    )
    return done.rowcount == 1


def admin_keys(connection: sqlite3.Connection, now: datetime, besides: str = "") -> int:
    """How many admin keys are good now, without the one with the id ``besides``."""
    found = connection.execute(
        "SELECT count(*) FROM api_keys WHERE id <> ? AND role = ? AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > ?)",
        (besides, Role.ADMIN, times.render(now)),
    ).fetchone()
    return int(found[0])


def first_to_expire(connection: sqlite3.Connection, now: datetime) -> dict[Role, datetime]:
    """When the first of the keys of a role that are good now expires; without the roles of which none does."""
    rows = connection.execute(
        "SELECT role, min(expires_at) FROM api_keys WHERE revoked_at IS NULL AND expires_at > ? GROUP BY role",
        (times.render(now),),
    )
    return {Role(role): times.parse(at) for role, at in rows}


def list_api_keys(
    connection: sqlite3.Connection, query: wire.PageQuery, *, newest_first: bool = False
) -> Page[answers.ApiKey]:
    """One page of keys, the oldest first unless told otherwise, revoked ones too."""
    return page(
        connection,
        "SELECT * FROM api_keys",
        [],
        key="id",
        limit=query.limit,
        cursor=query.cursor,
        make=lambda row: answers.ApiKey(**api_key_values(row)),
        descending=newest_first,
    )


def list_enrollment_tokens(
    connection: sqlite3.Connection, query: wire.PageQuery, *, newest_first: bool = False
) -> Page[answers.EnrollmentToken]:
    """One page of tokens, the oldest first unless told otherwise, revoked ones too."""
    return page(
        connection,
        "SELECT * FROM enrollment_tokens",
        [],
        key="id",
        limit=query.limit,
        cursor=query.cursor,
        make=lambda row: answers.EnrollmentToken(**enrollment_token_values(row)),
        descending=newest_first,
    )


def api_key_values(row: sqlite3.Row) -> dict[str, Any]:
    """A key's row as the API shows it."""
    return {name: row[name] for name in answers.ApiKey.model_fields}


def enrollment_token_values(row: sqlite3.Row) -> dict[str, Any]:
    """A token's row as the API shows it."""
    same = ("id", "name", "uses", "uses_allowed", "channel", "created_at", "expires_at", "revoked_at")
    return {name: row[name] for name in same} | {
        "group": row["group_name"],
        "approval": bool(row["approval"]),
        "recovery": bool(row["recovery"]),
    }


def _lasts(row: sqlite3.Row, now: datetime) -> bool:
    expires_at = times.parse_known(row["expires_at"])
    return expires_at is None or now < expires_at


def _text(at: datetime | None) -> str | None:
    return times.render(at) if at is not None else None


def _insert(tables: sqlite_utils.Database, table: str, secret: str, now: datetime, **values: str | int | None) -> str:
    identifier = ids.uuid7(now)
    row = {"id": identifier, "secret_sha256": ids.sha256_hex(secret), "created_at": times.render(now), **values}
    tables.table(table).insert(row)
    return identifier
