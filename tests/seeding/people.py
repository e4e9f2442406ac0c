"""Those who operate: API keys, enrollment tokens, and what they did."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from repo_server import times
from repo_server.db import Database
from repo_server.roles import Role
from repo_server.store import credentials
from repo_server.store.credentials import API_KEYS, ENROLLMENT_TOKENS, Preset
from tests.seeding.devices import Home
from tests.seeding.releases import Release
from tests.seeding.rows import text

WHO = "cli:root"
NAMES: dict[str, str] = {
    Role.ADMIN: "Ingrid (administration)",
    Role.OPERATOR: "Karim (operations)",
    Role.VIEWER: "display in the hall",
    Role.BUILDER: "build machine",
}
"""Of the keys that tests sign in with."""
_DAY = timedelta(days=1)


def keys_and_tokens(db: Database, now: datetime) -> dict[str, str]:
    """Keys of every role, and keys and tokens of every state; the secrets of the former by role."""
    tables = db.tables()

    def key(role: Role, name: str, at: datetime, expires_at: datetime | None = None) -> str:
        return credentials.create_api_key(tables, name, role, WHO, at, expires_at=expires_at)

    def token(name: str, days_ago: int, uses: int | None, ends: int | None, preset: Preset | None = None) -> str:
        expires_at = now + ends * _DAY if ends is not None else None
        return credentials.create_enrollment_token(
            tables, name, WHO, now - days_ago * _DAY, uses_allowed=uses, expires_at=expires_at, preset=preset
        )

    def work(connection: sqlite3.Connection) -> dict[str, str]:
        made = {role: key(Role(role), name, now - 80 * _DAY) for role, name in NAMES.items()}
        key(Role.OPERATOR, "Sanna, while Karim is away", now - 20 * _DAY, now + 9 * _DAY)
        key(Role.VIEWER, "trade fair", now - 60 * _DAY, now - 50 * _DAY)
        key(Role.VIEWER, "<script>alert('key')</script>", now - 3 * _DAY)
        old = key(Role.BUILDER, "old build machine", now - 80 * _DAY)
        _revoke(connection, API_KEYS, old, now - 41 * _DAY)
        token("homes, autumn batch", 70, 6_000, 20, Preset(group="homes-north", channel="stable"))
        token("workshop bench", 30, None, 5, Preset(approval=True))
        token("hotel Astoria", 25, 80, -4, Preset(group="hotel-astoria"))
        token("<b>try-outs</b>", 15, 25, 60, Preset(channel="beta"))
        _revoke(connection, ENROLLMENT_TOKENS, token("lost with a laptop", 10, None, None), now - 9 * _DAY)
        connection.execute("UPDATE enrollment_tokens SET uses = 412 WHERE name = 'homes, autumn batch'")
        return made

    return db.write(work)


def _revoke(connection: sqlite3.Connection, table: str, secret: str, at: datetime) -> None:
    row = credentials.by_secret(connection, table, secret)
    assert row is not None
    credentials.revoke(connection, table, row["id"], at)


def audit(chance: random.Random, homes: list[Home], published: list[Release], now: datetime) -> list[dict[str, Any]]:
    """What was done, in the order in which it was: devices let in, releases announced, waves, holds, moves."""
    entries = [*_of_releases(published), *_of_devices(chance, homes, now)]
    return sorted(entries, key=lambda entry: str(entry["at"]))


def _of_releases(published: list[Release]) -> Iterator[dict[str, Any]]:
    for release in published:
        one = release.row["id"]
        announced = times.parse(release.row["announced_at"])
        named = {"name": release.row["name"], "version": release.version}
        yield _entry(announced, "key:build machine", "update.announce", one, **named)
        for number, at in enumerate(release.rollout.opening.opened[1:], start=2):
            yield _entry(at, "server", "update.wave", one, wave=number)
        state = release.row["state"]
        if state == "halted":
            stopped = times.parse(release.row["stopped_at"])
            yield _entry(stopped, "server", "update.halted", one, before="active", reason=release.row["halt_reason"])
        elif state == "withdrawn":
            who = f"key:{NAMES[Role.OPERATOR]}"
            yield _entry(announced + 2 * _DAY, who, "update.withdrawn", one, before="active")


def _of_devices(chance: random.Random, homes: list[Home], now: datetime) -> Iterator[dict[str, Any]]:
    operator = f"key:{NAMES[Role.OPERATOR]}"
    for home in homes:
        registered, state = times.parse(home.row["registered_at"]), home.row["state"]
        after = {"state": "pending" if state == "pending" else "active"}
        yield _entry(registered, "enrollment_token:homes, autumn batch", "device.register", home.id, after=after)
        some_time = registered + (now - registered) * chance.random()
        if home.row["name"] is not None:
            change = {"before": {"name": None}, "after": {"name": home.row["name"]}}
            yield _entry(some_time, operator, "device.change", home.id, **change)
        if home.row["hold"] is not None:
            at = now - (now - registered) * chance.random() * 0.05
            change = {"before": {"hold": None}, "after": {"hold": home.row["hold"]}}
            yield _entry(at, operator, "device.change", home.id, **change)
        if state == "decommissioned":
            at = times.parse(home.row["decommissioned_at"])
            change = {"before": {"state": "active"}, "after": {"state": "decommissioned"}}
            yield _entry(at, operator, "device.decommission", home.id, **change)


def _entry(at: datetime, who: str, action: str, subject: str, **detail: object) -> dict[str, Any]:
    return {
        "at": text(at),
        "who": who,
        "action": action,
        "subject": subject,
        "detail": json.dumps(detail, sort_keys=True),
    }
