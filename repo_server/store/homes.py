"""All that is kept about one home: read out whole, and deleted.

Heartbeats say hour by hour when somebody was there; statuses may carry log lines; the rest is names. What stays after
an erasure says nothing of a home: how each update ended (the rollouts' numbers rest on it) and, of a device that is
retired, that its id and token are not to come back. The audit log stays as well: it is about those who operate.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from repo_server.store.devices import DECOMMISSIONED, FINGERPRINT

# Along the chain: there is no index by device, and a heartbeat's id may be another device's by the time it is named.
_CHAIN = """WITH RECURSIVE chain (id, previous_id) AS (
 SELECT id, previous_id FROM heartbeats WHERE id = (SELECT last_heartbeat_id FROM devices WHERE id = :device)
 AND device_id = :device
 UNION ALL SELECT h.id, h.previous_id FROM heartbeats h
 JOIN chain ON h.id = chain.previous_id AND h.device_id = :device)"""
_WHOLE = f"{_CHAIN} SELECT heartbeats.* FROM chain JOIN heartbeats USING (id) ORDER BY id"  # noqa: S608 - our own
_IDS = f"{_CHAIN} SELECT id FROM chain ORDER BY id"  # noqa: S608 - as above
_FOLLOWING = f"{_CHAIN} SELECT id FROM chain WHERE previous_id = :newest"  # noqa: S608 - as above
_HASHES = ("token_sha256", "pending_token_sha256", "next_token_sha256")
_LAST_HEARD = ("idle_seconds", "gate_decision", "gate_reason", "gate_retry_at", "uptime_seconds", "boot_id",
               "reboot_required_since", "clock_unsynchronised_since")  # fmt: skip
_NAMES = ("name", "group_name", "timezone_override", "hold", "model")


def row_of(device: sqlite3.Row) -> dict[str, Any]:
    """The device's row; of tokens only the fingerprints."""
    found = {name: device[name] for name in device.keys()}  # noqa: SIM118 - a row is no mapping
    return found | {name: found[name] and found[name][:FINGERPRINT] for name in _HASHES}


def heartbeats(connection: sqlite3.Connection, device_id: str) -> list[dict[str, Any]]:
    """Every heartbeat that is kept, the oldest first."""
    return [dict(row) for row in connection.execute(_WHOLE, {"device": device_id})]


def of_updates(connection: sqlite3.Connection, table: str, device_id: str) -> list[dict[str, Any]]:
    """Every row about the device in ``device_updates`` or ``device_update_events``."""
    rows = connection.execute(f"SELECT * FROM {table} WHERE device_id = ? ORDER BY rowid", (device_id,))  # noqa: S608 - our own names
    return [dict(row) for row in rows]


def audit(connection: sqlite3.Connection, device_id: str) -> list[sqlite3.Row]:
    """Every entry of the audit log about the device, the oldest first."""
    return connection.execute("SELECT * FROM audit_log WHERE subject = ? ORDER BY id", (device_id,)).fetchall()


def heartbeat_ids(connection: sqlite3.Connection, device_id: str) -> list[int]:
    """Of every heartbeat that is kept, the oldest first."""
    return [row[0] for row in connection.execute(_IDS, {"device": device_id})]


def delete_heartbeats(connection: sqlite3.Connection, device_id: str, identifiers: list[int]) -> None:
    """Delete some of a device's heartbeats. Nothing names them afterwards: an id may be given out again."""
    for one in identifiers:
        connection.execute("DELETE FROM heartbeats WHERE id = ? AND device_id = ?", (one, device_id))
    newest = max(identifiers)
    connection.execute(
        "UPDATE devices SET last_heartbeat_id = NULL WHERE id = ? AND last_heartbeat_id = ?", (device_id, newest)
    )
    for row in connection.execute(_FOLLOWING, {"device": device_id, "newest": newest}).fetchall():
        connection.execute("UPDATE heartbeats SET previous_id = NULL WHERE id = ?", (row["id"],))


def delete_the_rest(connection: sqlite3.Connection, device_id: str) -> None:
    """Delete what statuses told, and what the device last said of itself; of a retired one its names, too."""
    connection.execute("DELETE FROM device_update_events WHERE device_id = ?", (device_id,))
    connection.execute(
        "UPDATE device_updates SET reason = NULL, retry_at = NULL, detail = NULL, log_tail = NULL WHERE device_id = ?",
        (device_id,),
    )
    nothing = ", ".join(f"{name} = NULL" for name in _LAST_HEARD)
    connection.execute(f"UPDATE devices SET {nothing} WHERE id = ?", (device_id,))  # noqa: S608 - our own names
    no_names = ", ".join(f"{name} = NULL" for name in _NAMES)
    connection.execute(
        f"UPDATE devices SET hostname = 'erased', timezone = 'Etc/UTC', {no_names} WHERE id = ? AND state = ?",  # noqa: S608
        (device_id, DECOMMISSIONED),
    )
