"""How many devices an update is for, by wave and by status: each has to be looked at, so this takes its time."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable

from repo_server import waves
from repo_server.standing import NEWER, WAITING
from repo_server.store import rollouts, updates
from repo_server.versions import compare

_DEVICES = """SELECT d.id, d.group_name, d.debian, d.architecture, coalesce(d.installed, d.active) AS has, du.status
 FROM devices AS d LEFT JOIN device_updates AS du ON du.device_id = d.id AND du.update_id = ?
 WHERE d.state = 'active' AND d.assistant = ? AND d.channel = ?"""
_AT_ONCE = 500


def by_wave(
    connection: sqlite3.Connection, row: sqlite3.Row, rest: Callable[[], None] = lambda: None
) -> list[Counter[str]]:
    """Counted in one read of the database; ``rest`` is called every few hundred devices."""
    plan, version, update_id = rollouts.of(row).waves, row["version"], row["id"]
    counted: list[Counter[str]] = [Counter() for _ in plan]
    place, is_for = waves.placing(plan, update_id), updates.built_for(row)
    found = connection.execute(_DEVICES, (update_id, row["name"], row["channel"]))
    while devices := found.fetchmany(_AT_ONCE):
        for device in devices:
            if is_for(device):
                counted[place(device["id"], device["group_name"])][_status(device, version)] += 1
        rest()
    return counted


def _status(device: sqlite3.Row, version: str) -> str:
    if device["status"] is not None:
        return str(device["status"])
    return NEWER if device["has"] is not None and compare(device["has"], version) >= 0 else WAITING
