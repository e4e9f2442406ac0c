"""The fleet's numbers of each hour of the last month, as they follow from what the devices went through."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from repo_server import times
from repo_server.store.history import HOUR
from repo_server.times import hour_of
from tests.seeding.devices import Home
from tests.seeding.progress import FIRST, Move
from tests.seeding.rows import text

_DAYS = 30
_OUTAGE = range(190, 194)
"""So many hours ago a provider was down, and a tenth of the homes with it."""


def hourly(chance: random.Random, homes: list[Home], moves: list[Move], now: datetime) -> Iterator[dict[str, Any]]:
    """One row an hour, this hour's too."""
    changes = sorted(_changes(homes, moves), key=lambda change: change[0])
    versions: Counter[str] = Counter()
    place = 0
    for ago in range(_DAYS * 24, -1, -1):
        at = now - ago * HOUR
        while place < len(changes) and changes[place][0] <= at:
            _, before, after = changes[place]
            versions[after] += 1
            if before is not None:
                versions[before] -= 1
            place += 1
        total = sum(versions.values())
        away = 0.1 if ago in _OUTAGE else 0.0
        late, lost = int(total * (0.018 + 0.006 * chance.random() + away)), int(total * 0.03)
        yield {
            "hour": hour_of(at),
            "at": text(at),
            "online": total - late - lost,
            "late": late,
            "lost": lost,
            "pending": chance.randrange(3, 9),
            "held": int(total * 0.006),
            "versions": json.dumps({version: count for version, count in sorted(versions.items()) if count > 0}),
            "other_versions": 0,
        }


def _changes(homes: list[Home], moves: list[Move]) -> Iterator[tuple[datetime, str | None, str]]:
    """When which version took the place of which."""
    active: dict[str, str] = {}
    for home in homes:
        if home.row["state"] == "active" and home.row["active"] is not None:
            active[home.id] = FIRST
            yield times.parse(home.row["registered_at"]), None, FIRST
    for move in moves:
        if move.home.id in active and move.row["status"] in {"succeeded", "restarting", "verifying"}:
            yield move.path[-1][1], active[move.home.id], move.release.version
            active[move.home.id] = move.release.version
