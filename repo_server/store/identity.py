"""Who a device is: its row from registration on, the tokens it may have, and whether it is let in."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import times, wire
from repo_server.store.credentials import EnrollmentToken
from repo_server.store.devices import ACTIVE, DECOMMISSIONED, DEFAULT_CHANNEL, FINGERPRINT

_FACTS = ("hostname", "timezone", "assistant", "agent_version", "debian", "architecture", "model")


def fingerprint(token_sha256: str) -> str:
    """What people see of a device's token."""
    return token_sha256[:FINGERPRINT]


def insert(
    connection: sqlite3.Connection, given: wire.Registration, token: EnrollmentToken, state: str, now: datetime
) -> None:
    """A new device. What the enrollment token presets goes before what the device asks for."""
    values = given.model_dump() | {
        "channel": token.channel or given.channel or DEFAULT_CHANNEL,
        "group_name": token.group,
        "state": state,
        "enrolled_with": token.id,
        "registered_at": times.render(now),
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO devices ({names}) VALUES ({places})", values)  # noqa: S608 - our own names


def change_facts(connection: sqlite3.Connection, given: wire.Registration) -> None:
    """What a device says of itself when it registers once more: flashed anew, it may be of another Debian release."""
    assignments = ", ".join(f"{name} = :{name}" for name in _FACTS)
    connection.execute(f"UPDATE devices SET {assignments} WHERE id = :id", given.model_dump())  # noqa: S608 - our own names


def ask_approval(
    connection: sqlite3.Connection, given: wire.Registration, token: EnrollmentToken, now: datetime
) -> None:
    """Keep another token beside the device's own until an operator decides; the newest counts."""
    connection.execute(
        "UPDATE devices SET pending_token_sha256 = ?, pending_since = ?, pending_enrolled_with = ? WHERE id = ?",
        (given.token_sha256, times.render(now), token.id, given.id),
    )


def adopt_pending(connection: sqlite3.Connection, device_id: str) -> None:
    """Let the token that waits be the device's own from now on; every other is worthless."""
    connection.execute(
        "UPDATE devices SET state = ?, token_sha256 = pending_token_sha256, enrolled_with = pending_enrolled_with,"
        " pending_token_sha256 = NULL, pending_since = NULL, pending_enrolled_with = NULL, next_token_sha256 = NULL,"
        " rotation_requested_at = NULL, boot_id = NULL, boot_overlaps = NULL, cloned_suspected_at = NULL WHERE id = ?",
        (ACTIVE, device_id),
    )


def dismiss_pending(connection: sqlite3.Connection, device_id: str) -> None:
    """Forget the token that waits."""
    connection.execute(
        "UPDATE devices SET pending_token_sha256 = NULL, pending_since = NULL, pending_enrolled_with = NULL"
        " WHERE id = ?",
        (device_id,),
    )


def ask_rotation(connection: sqlite3.Connection, device_id: str, now: datetime) -> None:
    """Have the device told to make itself a new token."""
    connection.execute("UPDATE devices SET rotation_requested_at = ? WHERE id = ?", (times.render(now), device_id))


def keep_next(connection: sqlite3.Connection, device_id: str, token_sha256: str) -> None:
    """Keep the device's next token beside the one it has."""
    connection.execute(
        "UPDATE devices SET next_token_sha256 = ?, rotation_requested_at = NULL WHERE id = ?", (token_sha256, device_id)
    )


def adopt_next(connection: sqlite3.Connection, device_id: str) -> None:
    """The next token is the device's own from now on."""
    connection.execute(
        "UPDATE devices SET token_sha256 = next_token_sha256, next_token_sha256 = NULL WHERE id = ?", (device_id,)
    )


def activate(connection: sqlite3.Connection, device_id: str) -> None:
    """Let in a device that waits."""
    connection.execute("UPDATE devices SET state = ? WHERE id = ?", (ACTIVE, device_id))


def decommission(connection: sqlite3.Connection, device_id: str, now: datetime) -> bool:
    """Retire a device; its row stays, so that its token is recognised and told so. False where that was done before."""
    done = connection.execute(
        "UPDATE devices SET state = ?, decommissioned_at = ? WHERE id = ? AND state <> ?",
        (DECOMMISSIONED, times.render(now), device_id, DECOMMISSIONED),
    )
    return done.rowcount == 1
