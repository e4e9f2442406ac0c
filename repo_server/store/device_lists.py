"""Lists of devices: filtered, searched, sorted, and read page by page.

In the order of the ids every filter has an index, or is a list of ids. In any other order a filtered list is one
pass over the devices, and a whole one is read from an index of names.
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from repo_server import answers, times, wire
from repo_server.lifecycle import Stuck
from repo_server.presence import Presence
from repo_server.store.devices import DECOMMISSIONED, SELECT, answer
from repo_server.store.paging import page, rows

PROBLEMS = ("DEPENDENCY_BLOCKED", "DISK_FULL", "READ_ONLY_ROOT")
"""Reasons that no time ends: somebody has to do something at the device."""
MOST_CHOICES = 200

# Few are silent: they are found in the narrow table, which is in the order of the ids too.
_SELECT_SILENT = "SELECT devices.*, presence.* FROM presence CROSS JOIN devices ON device_id = id"
_PRESENT = {
    Presence.ONLINE: ("late_at > ?",),
    Presence.LATE: ("late_at <= ?", "lost_at > ?"),
    Presence.LOST: ("lost_at <= ?",),
}
_NAME = "coalesce(name, hostname) COLLATE NOCASE"
_SORTED = {"name": _NAME, "seen": "coalesce(last_seen_at, '')"}
_ATTENTION = f"""id IN (
 SELECT id FROM devices WHERE state = 'pending'
 UNION SELECT id FROM devices WHERE pending_since IS NOT NULL
 UNION SELECT id FROM devices WHERE cloned_suspected_at IS NOT NULL
 UNION SELECT id FROM devices WHERE state = 'active' AND update_status IN ('failed', 'rolled_back')
 UNION SELECT id FROM devices WHERE state = 'active' AND gate_decision = 'defer'
  AND gate_reason IN ({", ".join(f"'{reason}'" for reason in PROBLEMS)})
 UNION SELECT device_id FROM device_updates
  WHERE status IN ('installing', 'activating', 'restarting', 'verifying') AND stuck IS NOT NULL
 UNION SELECT device_id FROM presence WHERE lost_at <= ?)"""  # noqa: S608 - our own words
_OF_TRIGRAMS = 3
_TRIGRAMS = "number IN (SELECT rowid FROM device_trigrams WHERE device_trigrams MATCH ?)"
_NAMES = "text LIKE ? ESCAPE '\\'"
_EACH = "coalesce(name, '') || char(10) || hostname LIKE ? ESCAPE '\\'"
_FIRST = "SELECT 1 FROM device_names WHERE {} LIMIT ?"
_MANY = 2_000
_ID = re.compile(r"[0-9a-f-]{2,36}", re.ASCII)
# From one value to the next: as many steps in the index as there are values, however many devices have each.
_CHOICES = """WITH RECURSIVE found (value) AS (
 SELECT min({0}) FROM devices WHERE {1}
 UNION ALL SELECT (SELECT min({0}) FROM devices WHERE {1} AND {0} > value) FROM found WHERE value IS NOT NULL)
 SELECT value FROM found WHERE value IS NOT NULL LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Choices:
    """What devices of one state can be filtered by: values that some of them have, sorted."""

    groups: list[str]
    channels: list[str]
    versions: list[str]
    reasons: list[str]


def list_page(connection: sqlite3.Connection, query: wire.DeviceQuery, now: datetime) -> answers.Page[answers.Device]:
    """One page of devices; the oldest registration first (device ids are UUIDv7) unless ``query.sort`` says another.

    Raises ``InvalidError`` for a cursor of another order.
    """
    by, descending = query.sort.removeprefix("-"), query.sort.startswith("-")
    if by != "registered":
        return _sorted(connection, query, now, by, descending=descending)
    conditions, at = _conditions(connection, query, now), times.render(now)
    silent = query.online is False or query.presence in {Presence.LATE, Presence.LOST}
    if query.state == DECOMMISSIONED and query.presence is None:
        silent = False  # none of these is online, and none has deadlines
    if query.online is not None and (query.online or silent):
        conditions.append(("late_at > ?" if query.online else "late_at <= ?", at))
    if query.presence is not None:
        conditions += [(condition, at) for condition in _PRESENT[query.presence]]
    return page(
        connection,
        _SELECT_SILENT if silent else SELECT,
        conditions,
        key="device_id" if silent else "id",
        limit=query.limit,
        cursor=query.cursor,
        make=lambda row: answer(row, now),
        descending=descending,
    )


def choices(connection: sqlite3.Connection, state: str) -> Choices:
    """What the devices of a state can be filtered by, at most ``MOST_CHOICES`` of each."""

    def of(column: str, condition: str = "state = :state") -> list[str]:
        statement = _CHOICES.format(column, condition).replace("?", ":most")
        return [row[0] for row in connection.execute(statement, {"state": state, "most": MOST_CHOICES})]

    return Choices(
        groups=of("group_name"),
        channels=of("channel"),
        versions=of("active"),
        reasons=of("gate_reason", "state = :state AND gate_decision = 'defer'"),
    )


def stuck(connection: sqlite3.Connection, device_ids: list[str]) -> dict[str, Stuck]:
    """How those of these devices that are stuck in an update are."""
    found = connection.execute(
        "SELECT device_id, stuck FROM device_updates WHERE device_id IN (SELECT value FROM json_each(?))"
        " AND status IN ('installing', 'activating', 'restarting', 'verifying') AND stuck IS NOT NULL",
        (json.dumps(device_ids),),
    )
    return {row["device_id"]: Stuck(row["stuck"]) for row in found}


def any_at_all(connection: sqlite3.Connection) -> bool:
    """Whether any device ever registered."""
    return connection.execute("SELECT 1 FROM devices LIMIT 1").fetchone() is not None


def _sorted(
    connection: sqlite3.Connection, query: wire.DeviceQuery, now: datetime, by: str, *, descending: bool
) -> answers.Page[answers.Device]:
    """The ids first, and then the rows: they are wide, and only those of the page are read whole."""
    conditions, at = _conditions(connection, query, now), times.render(now)
    if query.presence is not None:
        conditions.append(_present(_PRESENT[query.presence], at))
    if query.online is not None and (query.online or query.state != DECOMMISSIONED):
        conditions.append(_present(("late_at > ?",) if query.online else ("late_at <= ?",), at))
    sort = _SORTED[by]
    # Walking an index of all devices and looking up each of its rows takes longer than reading all rows.
    by_index = by == "name" and len(conditions) == 1  # the state alone
    found, cursor = rows(
        connection,
        f"SELECT id, {sort} AS sorted_by FROM devices {'' if by_index else 'NOT INDEXED'}",  # noqa: S608 - our own text
        conditions,
        key="id",
        limit=query.limit,
        cursor=query.cursor,
        descending=descending,
        sort=sort,
    )
    wanted = json.dumps([row["id"] for row in found])
    wide = connection.execute(f"{SELECT} WHERE id IN (SELECT value FROM json_each(?))", (wanted,))  # noqa: S608 - our own text
    by_id = {row["id"]: answer(row, now) for row in wide}
    return answers.Page(items=[by_id[row["id"]] for row in found], next_cursor=cursor)


def _present(deadlines: tuple[str, ...], at: str) -> tuple[str, object]:
    """The condition of presence as a list of ids, made of those who are silent: these are few."""
    if deadlines == ("late_at > ?",):
        in_time = "id NOT IN (SELECT device_id FROM presence WHERE late_at <= ?)"
        return f"{in_time} AND state <> '{DECOMMISSIONED}'", at  # of which there is none in that table
    return f"id IN (SELECT device_id FROM presence WHERE {' AND '.join(deadlines)})", (at,) * len(deadlines)  # noqa: S608 - our own text


def _conditions(connection: sqlite3.Connection, query: wire.DeviceQuery, now: datetime) -> list[tuple[str, object]]:
    """All but those of presence; the first is the state."""
    found: list[tuple[str, object]] = [("state = ?", query.state)]
    equal = (
        ("group_name = ?", query.group),
        ("channel = ?", query.channel),
        ("active = ?", query.version),
        ("update_status = ?", query.status),
        ("gate_decision = 'defer' AND gate_reason = ?", query.reason),
    )
    found += [(sql, value) for sql, value in equal if value is not None]
    for column, given in (("pending_since", query.reenrollment), ("cloned_suspected_at", query.cloned)):
        if given is not None:
            found.append((f"{column} IS {'NOT ' if given else ''}NULL AND ?", 1))  # so that its partial index is found
    if query.attention is not None:
        found.append((_ATTENTION if query.attention else f"NOT {_ATTENTION}", times.render(now)))
    if query.q is not None:
        found.append(_search(connection, query.q))
    return found


def _search(connection: sqlite3.Connection, text: str) -> tuple[str, object]:
    """Devices that have ``text`` in their names; where it may be the beginning of an id, these as well."""
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    matches, value = (
        (_TRIGRAMS, '"' + text.replace('"', '""') + '"') if len(text) >= _OF_TRIGRAMS else (_NAMES, pattern)
    )
    condition = f"id IN (SELECT device_id FROM device_names WHERE {matches})"  # noqa: S608 - our own text
    # Where many match it is quicker to look at the names of devices than to list who has them. SQLite folds the case of
    # ASCII alone there.
    if text.isascii() and len(connection.execute(_FIRST.format(matches), (value, _MANY)).fetchall()) == _MANY:
        condition, value = _EACH, pattern
    beginning = text.lower()
    if _ID.fullmatch(beginning) is None:
        return condition, value
    # Only digits, letters up to f and dashes can be in it, so it may stand in the statement.
    return f"({condition} OR id BETWEEN '{beginning}' AND '{beginning}g')", value
