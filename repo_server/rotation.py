"""A device's token is exchanged for another one without a gap: the old one is good until the new one is first used."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import enrollment
from repo_server.db import Database
from repo_server.errors import ConflictError
from repo_server.store import audit, devices, identity


def ask(db: Database, device_id: str, who: str, now: datetime) -> sqlite3.Row:
    """Have the device told, with its next heartbeat, to make itself a new token; returns its row.

    Doing it again before the device has done so changes nothing. Raises ``NotFoundError``, and ``ConflictError`` where
    the device is not an active one.
    """

    def work(connection: sqlite3.Connection) -> sqlite3.Row:
        row = enrollment.device(connection, device_id)
        if row["state"] != devices.ACTIVE:
            raise ConflictError(f"this device is {row['state']}; only an active one can be asked for a new token")
        if row["rotation_requested_at"] is None:
            identity.ask_rotation(connection, device_id, now)
            audit.record(connection, now, who, "device.ask_rotation", device_id)
        return enrollment.device(connection, device_id)

    return db.write(work)


def take(db: Database, device_id: str, token_sha256: str, now: datetime) -> None:
    """Keep the hash of the device's next token; the newest counts. The answer may be lost: repeating it is harmless."""

    def work(connection: sqlite3.Connection) -> None:
        row = enrollment.device(connection, device_id)
        if token_sha256 not in {row["token_sha256"], row["next_token_sha256"]}:
            identity.keep_next(connection, device_id, token_sha256)
            after = {"fingerprint": identity.fingerprint(token_sha256)}
            audit.record(connection, now, f"device:{device_id}", "device.new_token", device_id, after=after)

    db.write(work)


def complete(db: Database, device_id: str, token_sha256: str, now: datetime) -> None:
    """The next token was used: it is the device's own from now on, and the old one is worthless."""

    def work(connection: sqlite3.Connection) -> None:
        row = enrollment.device(connection, device_id)
        if row["next_token_sha256"] != token_sha256:
            return  # another request was first
        identity.adopt_next(connection, device_id)
        before = {"fingerprint": identity.fingerprint(row["token_sha256"])}
        after = {"fingerprint": identity.fingerprint(token_sha256)}
        who = f"device:{device_id}"
        audit.record(connection, now, who, "device.use_new_token", device_id, before=before, after=after)

    db.write(work)
