"""Announced updates."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from repo_server import answers, ids, times, waves, wire
from repo_server.grant import UpdateFacts, UpdateState, Urgency
from repo_server.store import rollouts
from repo_server.store.paging import page
from repo_server.waves import Opening, Rollout


def find(connection: sqlite3.Connection, update_id: str) -> sqlite3.Row | None:
    """The update's row."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM updates WHERE id = ?", (update_id,)).fetchone()
    return row


def of_version(connection: sqlite3.Connection, name: str, version: str) -> list[sqlite3.Row]:
    """The updates that bring this version of this assistant, one a channel."""
    return connection.execute("SELECT * FROM updates WHERE name = ? AND version = ?", (name, version)).fetchall()


def named(connection: sqlite3.Connection, text: str) -> list[str]:
    """The ids of the updates that have this id or this version."""
    rows = connection.execute("SELECT id FROM updates WHERE id = ? OR version = ?", (text, text))
    return [row["id"] for row in rows]


def names(connection: sqlite3.Connection) -> list[str]:
    """The assistants of which releases were announced, the one of the newest release first."""
    rows = connection.execute("SELECT name FROM updates GROUP BY name ORDER BY max(id) DESC")
    return [row["name"] for row in rows]


def insert(connection: sqlite3.Connection, given: wire.Announcement, rollout: Rollout, who: str, now: datetime) -> str:
    """A new update, active unless it shall begin later; returns its id."""
    update_id = ids.uuid7(now)
    paused = given.rollout is not None and given.rollout.paused
    values = {
        "id": update_id,
        **given.model_dump(include={"name", "version", "channel", "urgency", "notes", "minimum_agent"}),
        "packages": packages_text(given.packages),
        "state": UpdateState.PAUSED if paused else UpdateState.ACTIVE,
        "announced_at": times.render(now),
        "announced_by": who,
        **rollouts.values(replace(rollout, opening=Opening() if paused else waves.begin(now))),
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO updates ({names}) VALUES ({places})", values)  # noqa: S608 - our own names
    return update_id


def packages_text(packages: Iterable[wire.Package]) -> str:
    """Packages in one canonical form: the same packages in another order are the same release."""
    listed = sorted((package.model_dump() for package in packages), key=lambda one: json.dumps(one, sort_keys=True))
    return json.dumps(listed, sort_keys=True)


def facts_for(connection: sqlite3.Connection, name: str, channel: str) -> list[UpdateFacts]:
    """What ``grant`` needs of every update of an assistant on a channel."""
    rows = connection.execute(
        "SELECT id, name, version, urgency, state, packages, rollout, waves_opened, expedited_at FROM updates"
        " WHERE name = ? AND channel = ?",
        (name, channel),
    )
    return [
        UpdateFacts(
            id=row["id"],
            name=row["name"],
            version=row["version"],
            urgency=Urgency(row["urgency"]),
            state=UpdateState(row["state"]),
            targets=targets(row["name"], row["packages"]),
            reach=rollouts.reach(row["rollout"], row["waves_opened"]),
            expedited=row["expedited_at"] is not None,
        )
        for row in rows
    ]


@lru_cache(maxsize=1024)
def targets(name: str, packages: str) -> frozenset[tuple[str, str]]:
    """Debian releases and architectures that it was built for; packages never change, so they are read once."""
    listed: list[dict[str, Any]] = json.loads(packages)
    return frozenset((one["debian"], one["architecture"]) for one in listed if one["package"] == name)


def built_for(row: sqlite3.Row) -> Callable[[sqlite3.Row], bool]:
    """Tells of a device's row whether it has a target that the update was built for."""
    found = targets(row["name"], row["packages"])
    return lambda device: (device["debian"], device["architecture"]) in found or (device["debian"], "all") in found


def list_page(connection: sqlite3.Connection, query: wire.UpdateQuery) -> answers.Page[answers.Update]:
    """One page of updates, the newest first."""
    found = rows_page(connection, query)
    return answers.Page(items=[answer(row) for row in found.items], next_cursor=found.next_cursor)


def rows_page(connection: sqlite3.Connection, query: wire.UpdateQuery) -> answers.Page[sqlite3.Row]:
    """The same as whole rows."""
    return page(
        connection,
        "SELECT * FROM updates",
        [
            ("name = ?", query.name) if query.name is not None else None,
            ("channel = ?", query.channel) if query.channel is not None else None,
            ("state = ?", query.state) if query.state is not None else None,
        ],
        key="id",
        limit=query.limit,
        cursor=query.cursor,
        make=lambda row: row,
        descending=True,
    )


def answer(row: sqlite3.Row) -> answers.Update:
    """A row as the API shows it."""
    same = ("id", "name", "version", "channel", "urgency", "notes", "minimum_agent", "state", "announced_at")
    return answers.Update(**{name: row[name] for name in same}, packages=json.loads(row["packages"]))
