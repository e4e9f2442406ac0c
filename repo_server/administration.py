"""What admins do to keys and enrollment tokens: each as one transaction, with its entry in the audit log."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from repo_server import answers_identity as answers
from repo_server import wire_identity as wire
from repo_server.db import Database
from repo_server.errors import ConflictError, InvalidError, NotFoundError
from repo_server.roles import Role
from repo_server.store import audit, credentials, sessions
from repo_server.store.credentials import API_KEYS, ENROLLMENT_TOKENS, Preset

LONGEST_RECOVERY = timedelta(days=30)


def create_api_key(db: Database, given: wire.ApiKeyRequest, who: str, now: datetime) -> answers.NewApiKey:
    """Make a key. Raises ``InvalidError`` where it would have expired already."""
    _in_future(given.expires_at, now)
    tables = db.tables()

    def work(connection: sqlite3.Connection) -> answers.NewApiKey:
        secret = credentials.create_api_key(tables, given.name, given.role, who, now, expires_at=given.expires_at)
        row = _made(connection, API_KEYS, secret)
        return answers.NewApiKey(**credentials.api_key_values(row), secret=secret)

    return db.write(work)


def create_enrollment_token(
    db: Database, given: wire.EnrollmentTokenRequest, who: str, now: datetime
) -> answers.NewEnrollmentToken:
    """Make a token. Raises ``InvalidError`` where it would have expired already, or a recovery has no bounds."""
    _in_future(given.expires_at, now)
    if given.recovery:
        _bounded(given, now)
    tables = db.tables()

    def work(connection: sqlite3.Connection) -> answers.NewEnrollmentToken:
        secret = credentials.create_enrollment_token(
            tables,
            given.name,
            who,
            now,
            uses_allowed=given.uses,
            expires_at=given.expires_at,
            preset=Preset(given.group, given.channel, given.approval, given.recovery),
        )
        row = _made(connection, ENROLLMENT_TOKENS, secret)
        shown = None if given.recovery else secret
        return answers.NewEnrollmentToken(**credentials.enrollment_token_values(row), secret=shown)

    return db.write(work)


def revoke_api_key(db: Database, key_id: str, who: str, now: datetime, *, last_admin_too: bool = False) -> None:
    """Revoke a key at once, with the sessions that stand for it; doing it again changes nothing.

    Raises ``NotFoundError``, and ``ConflictError`` where nobody could administer over HTTP any more, unless
    ``last_admin_too``.
    """

    def work(connection: sqlite3.Connection) -> None:
        row = _found(connection, API_KEYS, key_id, "API key")
        last = row["role"] == Role.ADMIN and credentials.admin_keys(connection, now, besides=key_id) == 0
        if last and row["revoked_at"] is None and not last_admin_too:
            raise ConflictError(
                "this is the last admin key that is good; make another one first, or revoke it with "
                "`repo-server api-key revoke` on the server itself"
            )
        if credentials.revoke(connection, API_KEYS, key_id, now):
            sessions.delete_of_key(connection, key_id)
            audit.record(connection, now, who, "api_key.revoke", key_id, before=_before(row, "role"))

    db.write(work)


def revoke_enrollment_token(db: Database, token_id: str, who: str, now: datetime) -> None:
    """Revoke a token at once; devices that are registered stay so. Raises ``NotFoundError``."""

    def work(connection: sqlite3.Connection) -> None:
        row = _found(connection, ENROLLMENT_TOKENS, token_id, "enrollment token")
        if credentials.revoke(connection, ENROLLMENT_TOKENS, token_id, now):
            audit.record(connection, now, who, "enrollment_token.revoke", token_id, before=_before(row, "uses"))

    db.write(work)


def _before(row: sqlite3.Row, more: str) -> dict[str, object]:
    return {name: row[name] for name in ("name", more, "expires_at")}


def _in_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidError("expires_at: lies in the past")


def _bounded(given: wire.EnrollmentTokenRequest, now: datetime) -> None:
    """Anyone may ask for approval while a recovery is open: it has to end, and takes a limited number."""
    if given.uses is None:
        raise InvalidError("uses: a recovery takes a limited number of devices; say how many")
    if given.expires_at is None or given.expires_at - now > LONGEST_RECOVERY:
        raise InvalidError(f"expires_at: a recovery ends after at most {LONGEST_RECOVERY.days} days; say when")


def _made(connection: sqlite3.Connection, table: str, secret: str) -> sqlite3.Row:
    row = credentials.by_secret(connection, table, secret)
    if row is None:  # impossible: it was inserted in this transaction
        raise NotFoundError("what was made just now is gone")
    return row


def _found(connection: sqlite3.Connection, table: str, identifier: str, what: str) -> sqlite3.Row:
    row = credentials.find(connection, table, identifier)
    if row is None:
        raise NotFoundError(f"there is no such {what}")
    return row
