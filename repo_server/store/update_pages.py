"""What pages about updates show, found at a cost that does not grow with the fleet."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from repo_server import plan, rollout_answers, standing, waves, wire
from repo_server.answers import Page
from repo_server.grant import UpdateState
from repo_server.standing import Standing
from repo_server.store import fleet, rollouts, spread, updates
from repo_server.store.paging import decode, encode, page
from repo_server.store.reading import snapshot
from repo_server.versions import compare, version_key

_LOOKED_THROUGH = 4_000
"""Devices that are looked at for one page of a wave's devices; a small wave's are far apart."""
_OTHERS = "SELECT id, version, name, state, packages FROM updates WHERE name = ? AND channel = ?"
_DEVICE = """SELECT du.device_id, du.status, du.reason, du.retry_at, du.detail, du.log_tail, du.updated_at, du.stuck,
 du.stuck_at, du.expedited_at, d.name, d.hostname, d.group_name, d.timezone, d.state
 FROM device_updates AS du JOIN devices AS d ON d.id = du.device_id"""
_ONE_STATUS = """SELECT * FROM (SELECT rowid AS number, device_id FROM device_updates
 WHERE update_id = :update AND status = '{}' AND device_id > :after ORDER BY device_id LIMIT :most)"""


@dataclass(frozen=True, slots=True)
class Listed:
    """An update in the list."""

    row: sqlite3.Row
    standing: Standing
    superseded_by: sqlite3.Row | None


def listed(connection: sqlite3.Connection, query: wire.UpdateQuery) -> Page[Listed]:
    """One page of updates, the newest first."""
    with snapshot(connection):
        found = updates.rows_page(connection, query)
        superseding = newer(connection, found.items)
        stuck = rollouts.stuck_counts(connection)
        return Page(
            items=[
                Listed(row, recorded(connection, row, stuck.get(row["id"], 0)), superseding[row["id"]])
                for row in found.items
            ],
            next_cursor=found.next_cursor,
        )


def channels(connection: sqlite3.Connection) -> list[str]:
    """Of all updates."""
    return [row[0] for row in connection.execute("SELECT DISTINCT channel FROM updates ORDER BY 1")]


def recorded(connection: sqlite3.Connection, row: sqlite3.Row, stuck: int) -> Standing:
    """How far an update is, by the numbers that are kept."""
    followers = fleet.audience_of(connection, row["name"], row["channel"])
    targets = updates.targets(row["name"], row["packages"])
    addressed = sum(
        devices
        for (debian, architecture), devices in followers.items()
        if (debian, architecture) in targets or (debian, "all") in targets
    )
    return standing.recorded(rollouts.statuses(connection, row["id"]), addressed, stuck)


def previous(connection: sqlite3.Connection, row: sqlite3.Row) -> sqlite3.Row | None:
    """The release on the channel that comes before this one: the highest of the lower ones that was not withdrawn."""
    lower = [
        one
        for one in connection.execute(_OTHERS, (row["name"], row["channel"]))
        if one["state"] != UpdateState.WITHDRAWN and compare(one["version"], row["version"]) < 0
    ]
    return max(lower, key=lambda one: version_key(one["version"]), default=None)


def devices(
    connection: sqlite3.Connection, update_id: str, statuses: Collection[str], query: wire.PageQuery
) -> Page[sqlite3.Row]:
    """One page of the devices of an update with one of these statuses (with none: all of them), by id."""
    if not statuses:
        return page(
            connection,
            _DEVICE,
            [("du.update_id = ?", update_id)],
            key="du.device_id",
            limit=query.limit,
            cursor=query.cursor,
            make=lambda row: row,
        )
    # One status after the other, each in the order of its index; SQLite would sort all that have any of them.
    each = " UNION ALL ".join(_ONE_STATUS.format(one) for one in sorted(statuses))
    rows = connection.execute(
        f"{_DEVICE} WHERE du.rowid IN (SELECT number FROM ({each}) ORDER BY device_id LIMIT :most)"  # noqa: S608
        " ORDER BY du.device_id",
        {"update": update_id, "after": decode(query.cursor) if query.cursor else "", "most": query.limit + 1},
    ).fetchall()
    return _cut(rows, query.limit)


def stuck(connection: sqlite3.Connection, update_id: str, query: wire.PageQuery) -> Page[sqlite3.Row]:
    """One page of the devices that are stuck in an update, by id."""
    rows = connection.execute(
        f"{_DEVICE} WHERE du.update_id = ? AND du.status IN ({rollouts.STARTED_WORDS})"
        " AND du.stuck IS NOT NULL AND du.device_id > ? ORDER BY du.device_id LIMIT ?",
        (update_id, decode(query.cursor) if query.cursor else "", query.limit + 1),
    ).fetchall()
    return _cut(rows, query.limit)


@dataclass(frozen=True, slots=True)
class PlanPage:
    """A part of the plan: the waves, and some devices in the order of their ids."""

    opening: Sequence[datetime | None]
    items: Sequence[rollout_answers.Expected]
    next_cursor: str | None
    looked_at: int
    """Devices that were looked at for it."""


def planned(connection: sqlite3.Connection, row: sqlite3.Row, query: wire.PlanQuery, now: datetime) -> PlanPage:
    """What is to be expected of some devices; a page may hold fewer than asked for, and there be more."""
    with snapshot(connection):
        update = spread.planned_update(connection, row)
        opening = plan.openings(update, now)
        place = waves.placing(update.rollout.waves, update.id)
        first = update.rollout.waves[0].group
        found: list[sqlite3.Row] = []
        looked_at, last = 0, None
        for device in spread.planned_devices(
            connection,
            row,
            after=decode(query.cursor) if query.cursor else "",
            group=first if query.wave == 1 else None,
        ):
            if looked_at >= _LOOKED_THROUGH or len(found) >= query.limit:
                break
            looked_at, last = looked_at + 1, device["id"]
            if query.wave is None or place(device["id"], device["group_name"]) + 1 == query.wave:
                found.append(device)
        else:
            last = None
        items = spread.expectations(connection, update, found, opening, now)
    return PlanPage(opening, items, encode(last) if last is not None else None, looked_at)


def newer(connection: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> dict[str, sqlite3.Row | None]:
    """By id, the highest newer release for a target that the update was built for."""
    others: dict[tuple[str, str], list[sqlite3.Row]] = {}
    found: dict[str, sqlite3.Row | None] = {}
    for row in rows:
        channel = (row["name"], row["channel"])
        if channel not in others:
            standing_ones = [
                one for one in connection.execute(_OTHERS, channel) if one["state"] != UpdateState.WITHDRAWN
            ]
            others[channel] = sorted(standing_ones, key=lambda one: version_key(one["version"]), reverse=True)
        own = updates.targets(row["name"], row["packages"])
        found[row["id"]] = next(
            (
                one
                for one in others[channel]
                if compare(one["version"], row["version"]) > 0 and own & updates.targets(one["name"], one["packages"])
            ),
            None,
        )
    return found


def _cut(rows: Sequence[sqlite3.Row], limit: int) -> Page[sqlite3.Row]:
    return Page(
        items=list(rows[:limit]), next_cursor=encode(rows[limit - 1]["device_id"]) if len(rows) > limit else None
    )
