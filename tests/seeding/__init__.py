"""A believable fleet in a database within seconds: for the desk's tests, its screenshots and its benchmark.

The same devices for the same number, instant and seed. Rows are written as the server would have left them, into the
server's own schema; ``python -m tests.seeding STATE`` makes one to look at with ``repo-server serve``.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from repo_server.db import Database
from tests.seeding import archive, devices, history, people, progress, releases, samples
from tests.seeding.devices import Home
from tests.seeding.rows import insert

NOW = datetime(2026, 11, 24, 19, 42, tzinfo=UTC)
"""An evening, so that devices wait: for the night, and for people."""


@dataclass(frozen=True)
class Seeded:
    """What tests ask a seeded state folder for."""

    state: Path
    now: datetime
    keys: dict[str, str]
    """By role, the secret of an API key."""
    homes: list[Home]
    updates: dict[str, str]
    """By version, the update's id."""
    oddities: dict[str, str]
    """By what is odd about it, a device's id: see ``devices.ODDITIES``."""

    def with_status(self, version: str, *statuses: str) -> list[Home]:
        """The homes whose device has one of these statuses in the update to ``version``."""
        return [home for home in self.homes if home.statuses.get(version) in statuses]

    def quiet(self) -> list[Home]:
        """Active and online homes that nothing is odd about, which tests may do something to."""
        odd = set(self.oddities.values())
        return [home for home in self.homes if home.is_online and home.row["hold"] is None and home.id not in odd]


def seed(state: Path, size: int, now: datetime = NOW, number: int = 1) -> Seeded:
    """A new state folder with ``size`` devices at ``now``, and a published repository beside the database."""
    chance = random.Random(number)
    database = state / "repo_server.db"
    db = Database(database)
    try:
        keys = people.keys_and_tokens(db, now)
    finally:
        db.close()
    published = releases.published(chance, now)
    homes = devices.homes(chance, size, now)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-200000")
        moves = [move for home in homes for move in progress.of(chance, home, published, now)]
        for one in published:
            if one.row["state"] == "halted":
                one.row["halt_reason"] = progress.halted_because(one, moves)
        insert(connection, "updates", (one.row for one in published))
        told = history.told(homes)
        history.settle(connection, homes)
        insert(connection, "device_updates", (move.row for move in moves))
        insert(connection, "device_update_events", progress.events(moves, {home.id for home in told}))
        history.heartbeats(connection, chance, told, now)
        insert(connection, "fleet_samples", samples.hourly(chance, homes, moves, now))
        insert(connection, "audit_log", people.audit(chance, homes, published, now))
        connection.commit()
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    archive.publish(state / "public", now)
    return Seeded(
        state=state,
        now=now,
        keys=keys,
        homes=homes,
        updates={one.version: one.row["id"] for one in published},
        oddities={home.oddity: home.id for home in homes if home.oddity is not None},
    )
