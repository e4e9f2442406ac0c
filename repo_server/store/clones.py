"""Devices whose identity seems to be in use on two machines."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from repo_server import times, wire
from repo_server.cloning import ENOUGH, Boot, overlaps
from repo_server.store import audit


def notice(connection: sqlite3.Connection, device: sqlite3.Row, beat: wire.Heartbeat, now: datetime) -> None:
    """Another boot speaks than the last time: count, and flag the device once where it is enough.

    ``device``: its row from before this heartbeat.
    """
    if device["cloned_suspected_at"] is not None:
        return
    before = device["boot_overlaps"] or 0
    last = Boot(device["boot_id"], times.parse(device["last_seen_at"])) if device["last_seen_at"] is not None else None
    count = overlaps(before, last, beat.boot_id, timedelta(seconds=beat.uptime_seconds), now)
    if count == before:
        return
    flagged = count >= ENOUGH
    connection.execute(
        "UPDATE devices SET boot_overlaps = ?, cloned_suspected_at = ? WHERE id = ?",
        (0 if flagged else count, times.render(now) if flagged else None, device["id"]),
    )
    if flagged:
        after = {"boots": sorted([device["boot_id"], beat.boot_id])}
        audit.record(connection, now, audit.SERVER, "device.cloned_suspected", device["id"], after=after)
