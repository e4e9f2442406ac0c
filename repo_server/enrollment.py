"""Devices come, are let in, and go: each as one transaction, with its entry in the audit log."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import wire
from repo_server.db import Database
from repo_server.errors import ConflictError, GoneError, NotFoundError, UnauthorizedError
from repo_server.store import audit, credentials, devices, identity, progress
from repo_server.store.credentials import EnrollmentToken

NOT_KNOWN = "this enrollment token is not known, or was revoked"


def register(
    db: Database, secret: str, given: wire.Registration, now: datetime, *, approval: bool = False
) -> tuple[sqlite3.Row, bool]:
    """Register a device; returns its row and whether it is new. ``approval``: every new device waits for an operator.

    The same id with the same token again is a lost answer and costs nothing: not even a use of the enrollment token,
    which may be used up or expired by then. The same id with another token is a device that was flashed anew, or
    somebody who would like to be it: the new token is kept beside the old one, which stays good, until an operator
    approves.
    Raises ``UnauthorizedError``, ``ConflictError`` (waits for approval: ask again), ``GoneError``.
    """

    def work(connection: sqlite3.Connection) -> tuple[sqlite3.Row, bool] | None:
        token = credentials.find_enrollment_token(connection, secret)  # its uses count only inside the transaction
        if token is None:
            raise UnauthorizedError(NOT_KNOWN, "Bearer")
        existing = devices.find(connection, given.id)
        if existing is None:
            _use(connection, token, now)
            state = devices.PENDING if approval or token.approval else devices.ACTIVE
            identity.insert(connection, given, token, state, now)
            audit.record(connection, now, _who(token), "device.register", given.id, after={"state": state})
            return device(connection, given.id), True
        if existing["state"] == devices.DECOMMISSIONED:
            raise GoneError("this device was decommissioned; it needs a new id")
        if credentials.is_one_of(given.token_sha256, existing["token_sha256"], existing["next_token_sha256"]):
            identity.change_facts(connection, given)
            return device(connection, given.id), False
        if not credentials.is_one_of(given.token_sha256, existing["pending_token_sha256"]):
            _use(connection, token, now)
            identity.ask_approval(connection, given, token, now)
            after = {"fingerprint": identity.fingerprint(given.token_sha256)}
            audit.record(connection, now, _who(token), "device.ask_approval", given.id, after=after)
        return None

    # Raised here, as raising rolls back.
    done = db.write(work)
    if done is None:
        raise ConflictError(
            "this device id is registered with another token; an operator has to approve the new one "
            f"(`repo-server devices approve {given.id}`), then the device is let in when it asks again"
        )
    return done


def come_back(db: Database, given: wire.Registration, now: datetime) -> tuple[sqlite3.Row, bool]:
    """Take up a device that shows its own token instead of an enrollment token; returns its row and whether it is new.

    A server that was restored from a backup does not know the devices that registered since, and these have deleted
    their enrollment token. While an admin has opened a recovery, they wait for approval like new ones. ``given`` must
    be proven already: its hash is that of the token that was shown. Raises ``UnauthorizedError`` and ``GoneError``.
    """

    def work(connection: sqlite3.Connection) -> tuple[sqlite3.Row, bool]:
        existing = devices.find(connection, given.id)
        if existing is None:
            token = credentials.find_recovery(connection, now)
            if token is None:
                raise UnauthorizedError(NOT_KNOWN, "Bearer", f"device {given.id}")
            _use(connection, token, now)
            identity.insert(connection, given, token, devices.PENDING, now)
            after = {"state": devices.PENDING}
            audit.record(connection, now, f"device:{given.id}", "device.come_back", given.id, after=after)
            return device(connection, given.id), True
        if not credentials.is_one_of(given.token_sha256, existing["token_sha256"], existing["next_token_sha256"]):
            raise UnauthorizedError(NOT_KNOWN, "Bearer", f"device {given.id}")
        if existing["state"] == devices.DECOMMISSIONED:
            raise GoneError("this device was decommissioned; it needs a new id")
        return existing, False

    return db.write(work)


def approve(db: Database, device_id: str, fingerprint: str | None, who: str, now: datetime) -> sqlite3.Row:
    """Let in a device that waits, or switch to the token that waits; returns its row. Doing it again changes nothing.

    ``fingerprint`` binds the approval to the token that the operator has seen. A switched device begins anew: its
    progress through updates is forgotten, as it counts its statuses from one again and has nothing installed.
    Raises ``NotFoundError``, ``GoneError``, ``ConflictError`` (another token waits by now).
    """

    def work(connection: sqlite3.Connection) -> sqlite3.Row:
        row = device(connection, device_id)
        if row["state"] == devices.DECOMMISSIONED:
            raise GoneError("this device was decommissioned; it needs a new id")
        waits = row["pending_token_sha256"]
        if fingerprint is not None and (waits is None or identity.fingerprint(waits) != fingerprint):
            raise ConflictError("this is not the token that waits for approval; look at the device again")
        if waits is not None:
            identity.adopt_pending(connection, device_id)
            progress.forget(connection, device_id)
            after = {"state": devices.ACTIVE, "fingerprint": identity.fingerprint(waits)}
            audit.record(connection, now, who, "device.approve", device_id, before={"state": row["state"]}, after=after)
        elif row["state"] == devices.PENDING:
            identity.activate(connection, device_id)
            before, after = {"state": row["state"]}, {"state": devices.ACTIVE}
            audit.record(connection, now, who, "device.approve", device_id, before=before, after=after)
        return device(connection, device_id)

    return db.write(work)


def dismiss(db: Database, device_id: str, who: str, now: datetime) -> None:
    """Forget the token that waits; the device stays with its own. Raises ``NotFoundError``."""

    def work(connection: sqlite3.Connection) -> None:
        waits = device(connection, device_id)["pending_token_sha256"]
        if waits is not None:
            identity.dismiss_pending(connection, device_id)
            before = {"fingerprint": identity.fingerprint(waits)}
            audit.record(connection, now, who, "device.dismiss", device_id, before=before)

    db.write(work)


def decommission(db: Database, device_id: str, who: str, now: datetime) -> None:
    """Retire a device at once, for the API and the repository. Raises ``NotFoundError``."""

    def work(connection: sqlite3.Connection) -> None:
        row = device(connection, device_id)
        if identity.decommission(connection, device_id, now):
            before, after = {"state": row["state"]}, {"state": devices.DECOMMISSIONED}
            audit.record(connection, now, who, "device.decommission", device_id, before=before, after=after)

    db.write(work)


def device(connection: sqlite3.Connection, device_id: str) -> sqlite3.Row:
    """The device's row. Raises ``NotFoundError``."""
    row = devices.find(connection, device_id)
    if row is None:
        raise NotFoundError("there is no such device")
    return row


def _use(connection: sqlite3.Connection, token: EnrollmentToken, now: datetime) -> None:
    refusal = token.refusal(now)
    if refusal is not None:
        raise UnauthorizedError(f"{refusal}; `repo-server enroll-token create` makes a new one", "Bearer")
    credentials.count_use(connection, token.id)


def _who(token: EnrollmentToken) -> str:
    return f"enrollment_token:{token.name}"
