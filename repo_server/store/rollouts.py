"""How each update spreads: its waves, limit and marks, in the row of the update."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from repo_server import times, wire
from repo_server.grant import UpdateState
from repo_server.lifecycle import FAILURES, Patience, Status, Stuck, stuck
from repo_server.versions import compare, version_key
from repo_server.waves import Opening, Outcomes, Reach, Rollout

STARTED_WORDS = "'installing', 'activating', 'restarting', 'verifying'"
"""To the letter as in the index on them, or SQLite does not use it."""
_MARKED = f"""SELECT du.device_id, du.status, du.stuck, du.updated_at, d.last_seen_at, p.late_at
 FROM device_updates AS du JOIN devices AS d ON d.id = du.device_id LEFT JOIN presence AS p ON p.device_id = d.id
 WHERE d.state = 'active' AND du.update_id = ? AND du.status IN ({STARTED_WORDS})"""  # noqa: S608 - our own words


def of(row: sqlite3.Row) -> Rollout:
    """An update's rollout. One that was announced before there were waves is open to everybody, without a limit."""
    if row["rollout"] is None:
        since = times.parse(row["announced_at"])
        return Rollout(opening=Opening((since,), since))
    plan = _plan(row["rollout"])
    dwell_from = row["dwell_from"]
    return Rollout(
        waves=plan.waves,
        limit=plan.limit,
        opening=Opening(
            tuple(times.parse(one) for one in json.loads(row["waves_opened"])),
            times.parse(dwell_from) if dwell_from is not None else None,
        ),
        accepted=Outcomes(row["accepted_failures"] or 0, row["accepted_finished"] or 0),
        expedited=row["expedited_at"] is not None,
    )


@lru_cache(maxsize=1024)
def _plan(text: str) -> Rollout:
    given = wire.RolloutChange.model_validate_json(text)
    return Rollout(waves=given.plan(), limit=given.limit())


@lru_cache(maxsize=1024)
def reach(rollout: str | None, waves_opened: str | None) -> Reach:
    """Whom the open waves hold, from the columns' texts: few different ones, asked for with every heartbeat."""
    if rollout is None:
        return Reach()
    opened = tuple(times.parse(one) for one in json.loads(waves_opened or "[]"))
    return Rollout(waves=_plan(rollout).waves, opening=Opening(opened)).reach


def values(rollout: Rollout) -> dict[str, Any]:
    """The columns that hold a rollout."""
    opening, limit = rollout.opening, rollout.limit
    plan = {
        "waves": [
            {
                "percent": wave.percent,
                "group": wave.group,
                "dwell_seconds": int(wave.dwell.total_seconds()) if wave.dwell is not None else None,
            }
            for wave in rollout.waves
        ],
        "failure_limit": None
        if limit is None
        else {"percent": limit.percent, "minimum": limit.minimum, "count": limit.count},
    }
    return {
        "rollout": json.dumps(plan),
        "waves_opened": json.dumps([times.render(one) for one in opening.opened]),
        "dwell_from": times.render(opening.dwell_from) if opening.dwell_from is not None else None,
        "accepted_failures": rollout.accepted.failures,
        "accepted_finished": rollout.accepted.finished,
    }


def keep(connection: sqlite3.Connection, update_id: str, rollout: Rollout, **more: object) -> None:
    """Write a rollout, and other columns of the update with it."""
    change(connection, update_id, {**values(rollout), **more})


def change(connection: sqlite3.Connection, update_id: str, columns: Mapping[str, object]) -> None:
    """Set columns of an update."""
    assignments = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE updates SET {assignments} WHERE id = ?", [*columns.values(), update_id])  # noqa: S608 - our own names


def outcomes(connection: sqlite3.Connection, update_id: str) -> Outcomes:
    """A device that fell silent after it began counts as failed until it comes back."""
    counted = statuses(connection, update_id)
    failures = sum(counted.get(status, 0) for status in FAILURES)
    (silent,) = connection.execute(
        f"SELECT count(*) FROM device_updates WHERE update_id = ? AND status IN ({STARTED_WORDS}) AND stuck = ?",  # noqa: S608
        (update_id, Stuck.SILENT),
    ).fetchone()
    failures += silent
    return Outcomes(failures, failures + counted.get(Status.SUCCEEDED, 0))


def accept_no_more_than_there_is(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """A failure that was accepted and is none any more (the device came back, was expedited) excuses no new one."""
    before = of(row).accepted
    if not before.finished:
        return
    there = outcomes(connection, row["id"])
    after = {
        "accepted_failures": min(before.failures, there.failures),
        "accepted_finished": min(before.finished, there.finished),
    }
    if (after["accepted_failures"], after["accepted_finished"]) != (before.failures, before.finished):
        change(connection, row["id"], after)


def superseding(connection: sqlite3.Connection, row: sqlite3.Row) -> list[sqlite3.Row]:
    """The releases on the channel that are higher than this one and not withdrawn, the highest first."""
    others = connection.execute(
        "SELECT id, name, version, packages FROM updates WHERE name = ? AND channel = ? AND state <> ?",
        (row["name"], row["channel"], UpdateState.WITHDRAWN),
    )
    higher = [other for other in others if compare(other["version"], row["version"]) > 0]
    return sorted(higher, key=lambda other: version_key(other["version"]), reverse=True)


def marks(
    connection: sqlite3.Connection, update_id: str, patience: Patience, now: datetime, serving_since: datetime
) -> dict[str, Stuck | None]:
    """By device: marks that have to be set or taken away. ``serving_since``: nobody could be heard before it."""
    found: dict[str, Stuck | None] = {}
    for row in connection.execute(_MARKED, (update_id,)):
        seen = times.parse(row["last_seen_at"]) if row["last_seen_at"] is not None else serving_since
        if row["late_at"] is not None and row["late_at"] > times.render(now):
            seen = now  # it was told not to come more often
        is_stuck = stuck(
            Status(row["status"]),
            progress_at=max(times.parse(row["updated_at"]), serving_since),
            contact_at=seen,
            now=now,
            patience=patience,
        )
        before = Stuck(row["stuck"]) if row["stuck"] is not None else None
        if is_stuck is not before:
            found[row["device_id"]] = is_stuck
    return found


def to_look_at(connection: sqlite3.Connection) -> list[str]:
    """The updates that time alone can change: active ones, and those that somebody is at work on."""
    rows = connection.execute(
        f"SELECT id FROM updates WHERE state = '{UpdateState.ACTIVE}' OR EXISTS"  # noqa: S608 - our own words
        f" (SELECT 1 FROM device_updates WHERE update_id = updates.id AND status IN ({STARTED_WORDS}))"
    )
    return [row[0] for row in rows]


def stuck_counts(connection: sqlite3.Connection, kind: Stuck | None = None) -> dict[str, int]:
    """By update, how many devices are stuck in it; in this way, or in any."""
    rows = connection.execute(
        "SELECT update_id, count(*) FROM device_updates"  # noqa: S608 - our own words
        f" WHERE status IN ({STARTED_WORDS}) AND stuck IS NOT NULL AND (? IS NULL OR stuck = ?) GROUP BY 1",
        (kind, kind),
    )
    return dict(rows.fetchall())


def statuses(connection: sqlite3.Connection, update_id: str) -> dict[str, int]:
    """How many devices have each status in an update."""
    rows = connection.execute(
        "SELECT status, devices FROM update_counts WHERE update_id = ? AND devices > 0", (update_id,)
    )
    return dict(rows.fetchall())
