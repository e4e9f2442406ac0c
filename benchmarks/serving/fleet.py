"""A database with many registered devices, as a fleet leaves it: each has its update, and was seen a while ago.

Device ``number`` has an id and a token that the clients make from the number too: see ``heartbeat.lua``.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.shell import PROJECT, run

ASSISTANT = "sample-assistant"
VERSION = "1.0.0"
UPDATE = "0195e0c8-0000-7000-8000-ffffffffffff"
BOOT = "7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a01"
_DEVICE = """INSERT INTO devices (id, token_sha256, state, hostname, channel, timezone, assistant, agent_version,
 debian, architecture, registered_at, last_seen_at, installed, active, boot_id, gate_decision) VALUES (?, ?, 'active',
 'kitchen', 'stable', 'Europe/Berlin', ?, '0.1.0', 'trixie', 'arm64', ?, ?, ?, ?, ?, 'nothing')"""
_UPDATE = """INSERT INTO updates (id, name, version, channel, urgency, notes, packages, state, announced_at)
 VALUES (?, ?, ?, 'stable', 'scheduled', 'for the benchmark', ?, 'active', ?)"""
_PACKAGES = f'[{{"package": "{ASSISTANT}", "version": "{VERSION}", "debian": "trixie", "architecture": "arm64"}}]'


def device_id(number: int) -> str:
    """A UUIDv7."""
    return f"0195e0c8-0000-7000-8000-{number:012x}"


def token(number: int) -> str:
    """The device's own."""
    return f"pid_bench_{number}"


def make(state: Path, devices: int) -> Path:
    """A new state folder with so many devices that have succeeded with the newest update; returns the database."""
    run([sys.executable, "-m", "repo_server", "init", "--state", state, "--write-keys", state / "keys"], cwd=PROJECT)
    database = state / "repo_server.db"
    at = (datetime.now(UTC) - timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-200000")
        connection.executemany(_DEVICE, _devices(devices, at))
        connection.execute(_UPDATE, (UPDATE, ASSISTANT, VERSION, _PACKAGES, at))
        connection.execute(
            "INSERT INTO device_updates (device_id, update_id, status, sequence, urgency, granted_at, updated_at)"
            " SELECT id, ?, 'succeeded', 9, 'scheduled', ?, ? FROM devices",
            (UPDATE, at, at),
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database


def _devices(count: int, at: str) -> Iterator[tuple[str, ...]]:
    for number in range(count):
        digest = hashlib.sha256(token(number).encode()).hexdigest()
        yield device_id(number), digest, ASSISTANT, at, at, VERSION, VERSION, BOOT
