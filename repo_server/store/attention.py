"""What needs attention, found in the database: each cause by its own index, and only as many as anybody reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from repo_server import times
from repo_server.answers import Fleet, UpdateCounts
from repo_server.attention import About, Cause, Concern, Found, Patience
from repo_server.grant import UpdateState
from repo_server.lifecycle import STARTED, Status, Stuck
from repo_server.store.device_lists import PROBLEMS
from repo_server.store.devices import ACTIVE, DECOMMISSIONED, PENDING
from repo_server.store.reading import snapshot
from repo_server.versions import version_key

NAMED = 20
"""Of one cause: more than anybody is shown, so that a device with several is found under each."""
COUNTED = 200
"""Of one cause, where the number is not known anyhow."""
_NEWEST = 20
"""Updates whose failures are looked for: there is one newest release a channel."""

# The small index first, and the devices by their ids: SQLite has no statistics, and takes the index on their state
# for the better one. CROSS JOIN keeps the order, and + keeps that index out.
_STARTED = ", ".join(f"'{status}'" for status in sorted(STARTED))
_NAME = "d.id, coalesce(d.name, d.hostname) AS called"
_OF_UPDATE = f"""SELECT {_NAME}, {{since}} AS since, u.id AS update_id, u.version, du.detail
 FROM device_updates AS du CROSS JOIN devices AS d ON d.id = du.device_id
 CROSS JOIN updates AS u ON u.id = du.update_id"""  # noqa: S608 - our own words
_STUCK = f"""{_OF_UPDATE.format(since="du.stuck_at")}
 WHERE du.stuck = :stuck AND du.stuck IS NOT NULL AND du.status IN ({_STARTED}) AND +d.state = '{ACTIVE}'
 ORDER BY du.stuck_at LIMIT :most"""
_FAILED = f"""{_OF_UPDATE.format(since="du.updated_at")}
 WHERE du.update_id = :update AND du.status = :status AND du.status IN ('failed', 'rolled_back')
 AND +d.state = '{ACTIVE}' ORDER BY du.updated_at LIMIT :most"""
_DEVICES = f"SELECT {_NAME}, {{since}} AS since FROM devices AS d WHERE {{where}} ORDER BY {{order}} LIMIT :most"  # noqa: S608
_CLONED = _DEVICES.format(
    since="d.cloned_suspected_at", where=f"d.cloned_suspected_at IS NOT NULL AND +d.state = '{ACTIVE}'", order="d.id"
)
_REENROLLMENT = _DEVICES.format(
    since="d.pending_since", where=f"d.pending_since IS NOT NULL AND +d.state <> '{DECOMMISSIONED}'", order="d.id"
)
_BLOCKED = f"""SELECT {_NAME}, NULL AS since, d.gate_reason AS detail FROM devices AS d
 WHERE d.state = '{ACTIVE}' AND d.gate_decision = 'defer'
 AND d.gate_reason IN ({", ".join(f"'{reason}'" for reason in PROBLEMS)}) LIMIT :most"""  # noqa: S608 - our own words
_PENDING = _DEVICES.format(since="d.registered_at", where=f"d.state = '{PENDING}'", order="d.id")
_SINCE_LONG = _DEVICES.format(since="{0}", where="d.{0} <= :before AND +d.state = '{1}'", order="d.{0}")
# Sorted in the narrow table: in a fleet that is unplugged, most are in it.
_LOST = f"""SELECT {_NAME}, coalesce(d.last_seen_at, d.registered_at) AS since
 FROM (SELECT device_id, lost_at FROM presence WHERE lost_at <= :at ORDER BY lost_at LIMIT :most) AS p
 CROSS JOIN devices AS d ON d.id = p.device_id WHERE +d.state = '{ACTIVE}' ORDER BY p.lost_at LIMIT {NAMED}"""  # noqa: S608
_STOPPED = "SELECT id, name, version, channel, state, stopped_at, halt_reason FROM updates WHERE id IN ({})"


def found(connection: sqlite3.Connection, fleet: Fleet, patience: Patience, now: datetime) -> list[Found]:
    """Every cause that some device or update has now; ``fleet`` is the summary of the same moment."""
    with snapshot(connection):
        each = [
            *_rollouts(connection, fleet, patience, now),
            *_failures(connection, fleet),
            *_devices(connection, fleet, patience, now),
        ]
    return [one for one in each if one.total]


def newest(updates: Sequence[UpdateCounts]) -> list[UpdateCounts]:
    """The highest release of each assistant on each channel that was not withdrawn."""
    highest: dict[tuple[str, str], UpdateCounts] = {}
    for update in updates:
        place = (update.name, update.channel)
        if update.state is not UpdateState.WITHDRAWN and (
            place not in highest or version_key(update.version) > version_key(highest[place].version)
        ):
            highest[place] = update
    return list(highest.values())


def _rollouts(connection: sqlite3.Connection, fleet: Fleet, patience: Patience, now: datetime) -> Iterator[Found]:
    """Of the newest releases alone: a newer one goes before one that was stopped."""
    stopped = [one.id for one in newest(fleet.updates) if one.state in {UpdateState.HALTED, UpdateState.PAUSED}]
    rows = connection.execute(_STOPPED.format(", ".join("?" * len(stopped))), stopped).fetchall()
    for cause, state, length in (
        (Cause.HALTED, UpdateState.HALTED, None),
        (Cause.PAUSED, UpdateState.PAUSED, patience.paused),
    ):
        concerns = [
            Concern(
                cause,
                About.UPDATE,
                row["id"],
                f"{row['name']} {row['version']} on {row['channel']}",
                times.parse_known(row["stopped_at"]),
                detail=row["halt_reason"],
            )
            for row in rows
            if row["state"] == state
        ]
        if length is not None:
            # Announced as paused it has not stopped: it waits for somebody to begin it.
            concerns = [one for one in concerns if one.since is not None and one.since <= now - length]
        yield Found(cause, concerns, len(concerns))


def _failures(connection: sqlite3.Connection, fleet: Fleet) -> Iterator[Found]:
    for cause, status in ((Cause.FAILED, Status.FAILED), (Cause.ROLLED_BACK, Status.ROLLED_BACK)):
        rows: list[sqlite3.Row] = []
        for update in newest(fleet.updates)[:_NEWEST]:
            if update.statuses.get(status):
                rows += _rows(connection, _FAILED, update=update.id, status=status)
        yield _found(cause, sorted(rows, key=lambda row: str(row["since"])))
    for cause, stuck in ((Cause.SILENT, Stuck.SILENT), (Cause.NO_PROGRESS, Stuck.NO_PROGRESS)):
        yield _found(cause, _rows(connection, _STUCK, stuck=stuck))


def _devices(connection: sqlite3.Connection, fleet: Fleet, patience: Patience, now: datetime) -> Iterator[Found]:
    yield _found(Cause.CLONED, _rows(connection, _CLONED))
    blocked = sum(fleet.reasons.get(reason, 0) for reason in PROBLEMS)
    if blocked:
        yield _found(Cause.BLOCKED, _rows(connection, _BLOCKED), blocked)
    yield _found(Cause.REENROLLMENT, _rows(connection, _REENROLLMENT))
    yield _found(Cause.PENDING, _rows(connection, _PENDING), fleet.devices.pending)
    if fleet.devices.lost:
        yield _found(Cause.LOST, _rows(connection, _LOST, at=times.render(now)), fleet.devices.lost)
    for cause, column, length in (
        (Cause.CLOCK, "clock_unsynchronised_since", patience.clock),
        (Cause.REBOOT, "reboot_required_since", patience.reboot),
    ):
        sql = _SINCE_LONG.format(column, ACTIVE)
        yield _found(cause, _rows(connection, sql, before=times.render(now - length)))


def _rows(connection: sqlite3.Connection, sql: str, **values: object) -> list[sqlite3.Row]:
    return connection.execute(sql, {**values, "most": COUNTED + 1}).fetchall()


def _found(cause: Cause, rows: Sequence[sqlite3.Row], total: int | None = None) -> Found:
    concerns = [_concern(cause, dict(row)) for row in rows[:NAMED]]
    if total is not None:
        return Found(cause, concerns, total)
    return Found(cause, concerns, min(len(rows), COUNTED), or_more=len(rows) > COUNTED)


def _concern(cause: Cause, row: Mapping[str, Any]) -> Concern:
    return Concern(
        cause,
        About.DEVICE,
        row["id"],
        row["called"],
        times.parse_known(row["since"]),
        update=(row["update_id"], row["version"]) if "update_id" in row else None,
        detail=row.get("detail"),
    )
