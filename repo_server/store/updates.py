"""Announced updates."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from repo_server import answers, ids, times, wire
from repo_server.grant import UpdateFacts, UpdateState, Urgency
from repo_server.store.paging import Rows, page


def find(connection: sqlite3.Connection, update_id: str) -> sqlite3.Row | None:
    """The update's row."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM updates WHERE id = ?", (update_id,)).fetchone()
    return row


def of_version(connection: sqlite3.Connection, name: str, version: str) -> list[sqlite3.Row]:
    """The updates that bring this version of this assistant, one a channel."""
    return connection.execute("SELECT * FROM updates WHERE name = ? AND version = ?", (name, version)).fetchall()


def insert(connection: sqlite3.Connection, given: wire.Announcement, who: str, now: datetime) -> str:
    """A new update, active; returns its id."""
    update_id = ids.uuid7(now)
    connection.execute(
        "INSERT INTO updates (id, name, version, channel, urgency, notes, minimum_agent, packages, state, announced_at,"
        " announced_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            update_id,
            given.name,
            given.version,
            given.channel,
            given.urgency,
            given.notes,
            given.minimum_agent,
            packages_text(given.packages),
            UpdateState.ACTIVE,
            times.render(now),
            who,
        ),
    )
    return update_id


def packages_text(packages: Iterable[wire.Package]) -> str:
    """Packages in one canonical form: the same packages in another order are the same release."""
    listed = sorted((package.model_dump() for package in packages), key=lambda one: json.dumps(one, sort_keys=True))
    return json.dumps(listed, sort_keys=True)


def set_state(connection: sqlite3.Connection, update_id: str, state: UpdateState) -> None:
    """Pause, resume or halt."""
    connection.execute("UPDATE updates SET state = ? WHERE id = ?", (state, update_id))


def facts_for(connection: sqlite3.Connection, name: str, channel: str) -> list[UpdateFacts]:
    """What ``grant`` needs of every update of an assistant on a channel."""
    rows = connection.execute(
        "SELECT id, name, version, urgency, state, packages FROM updates WHERE name = ? AND channel = ?",
        (name, channel),
    )
    return [
        UpdateFacts(
            id=row["id"],
            name=row["name"],
            version=row["version"],
            urgency=Urgency(row["urgency"]),
            state=UpdateState(row["state"]),
            targets=_targets(row["name"], row["packages"]),
        )
        for row in rows
    ]


@lru_cache(maxsize=1024)
def _targets(name: str, packages: str) -> frozenset[tuple[str, str]]:
    """Packages never change once announced, so reading them once is enough."""
    listed: list[dict[str, Any]] = json.loads(packages)
    return frozenset((one["debian"], one["architecture"]) for one in listed if one["package"] == name)


def list_page(connection: sqlite3.Connection, query: wire.UpdateQuery) -> Rows[answers.Update]:
    """One page of updates, the newest first."""
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
        make=answer,
        descending=True,
    )


def answer(row: sqlite3.Row) -> answers.Update:
    """A row as the API shows it."""
    same = ("id", "name", "version", "channel", "urgency", "notes", "minimum_agent", "state", "announced_at")
    return answers.Update(**{name: row[name] for name in same}, packages=json.loads(row["packages"]))
