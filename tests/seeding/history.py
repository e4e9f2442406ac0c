"""The devices' rows with their deadlines, and a day of heartbeats of some of them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from repo_server import times
from tests.seeding.devices import INTERVAL, Home
from tests.seeding.rows import insert, text

_TOLD = 40
"""Of so many devices there is a day of heartbeats, beside the odd ones."""
_AWAKE = (7, 23)


def told(homes: list[Home]) -> list[Home]:
    """The devices of which everything is told: the odd ones, and the first that are online."""
    odd = [home for home in homes if home.oddity is not None and home.row["last_seen_at"] is not None]
    return odd + [home for home in homes if home.oddity is None and home.is_online][:_TOLD]


def settle(connection: sqlite3.Connection, homes: list[Home]) -> None:
    """Write the devices, and from when on their silence counts."""
    insert(connection, "devices", (home.row for home in homes))
    connection.executemany(
        "UPDATE presence SET late_at = ?, lost_at = ? WHERE device_id = ?",
        ((text(home.late_at), text(home.lost_at), home.id) for home in homes),
    )


def heartbeats(connection: sqlite3.Connection, chance: random.Random, homes: list[Home], now: datetime) -> None:
    """A day of them, in the order in which they came; each names the one before it of the same device."""
    beats = sorted((one for home in homes for one in _day(chance, home, now)), key=lambda one: str(one["received_at"]))
    newest: dict[str, int] = {}
    for number, beat in enumerate(beats, start=1):
        beat |= {"id": number, "previous_id": newest.get(beat["device_id"])}
        newest[beat["device_id"]] = number
    insert(connection, "heartbeats", beats)
    connection.executemany(
        "UPDATE devices SET last_heartbeat_id = ? WHERE id = ?", ((number, one) for one, number in newest.items())
    )


def _day(chance: random.Random, home: Home, now: datetime) -> Iterator[dict[str, Any]]:
    row = home.row
    last, begin = times.parse(row["last_seen_at"]), now - timedelta(days=1)
    at, used, zone = begin + timedelta(seconds=chance.uniform(0, INTERVAL)), begin, _zone(row["timezone"])
    while at < last - timedelta(seconds=INTERVAL):
        if chance.random() < _use(at.astimezone(zone).hour):
            used = at - timedelta(seconds=chance.uniform(0, INTERVAL))
        yield _beat(row, at, idle=int((at - used).total_seconds()))
        at += timedelta(seconds=INTERVAL * chance.uniform(0.95, 1.05))
        if chance.random() < 0.004:
            at += timedelta(minutes=chance.uniform(15, 70))  # away from the network for a while
    yield _beat(row, last, idle=row["idle_seconds"])


def _use(hour: int) -> float:
    """How likely somebody speaks to it within five minutes."""
    if not _AWAKE[0] <= hour < _AWAKE[1]:
        return 0.004
    return 0.35 if hour in {7, 8, 18, 19, 20} else 0.1


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return ZoneInfo("Etc/UTC")


def _beat(row: dict[str, Any], at: datetime, *, idle: int) -> dict[str, Any]:
    same = ("boot_id", "clock_synchronised", "agent_version", "installed", "active", "gate_decision", "gate_reason",
            "gate_retry_at", "update_id", "update_status", "reboot_required")  # fmt: skip
    return {
        "device_id": row["id"],
        "received_at": text(at),
        "sent_at": text(at),
        "uptime_seconds": max(int(row["uptime_seconds"] - 0), 0),
        "idle_seconds": idle,
        **{name: row[name] for name in same},
    }
