"""How far an update has spread and how it will: the devices it is for, by wave and by status."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from repo_server import plan, times, waves, wire
from repo_server import rollout_answers as answers
from repo_server.grant import UpdateState, Urgency
from repo_server.lifecycle import Status, Stuck
from repo_server.store import rollouts, updates, wave_counts
from repo_server.store.paging import decode, encode
from repo_server.store.reading import snapshot

_HABIT_DAYS = 7
_FEW = 3
"""Heartbeats in an hour of the day, from which on they tell anything."""

_PLANNED = """SELECT d.id, d.hostname, d.group_name, d.timezone, d.debian, d.architecture, d.installed, d.active,
 d.hold, d.idle_seconds, d.last_seen_at, du.status, du.expedited_at
 FROM devices AS d LEFT JOIN device_updates AS du ON du.device_id = d.id AND du.update_id = ?
 WHERE d.state = 'active' AND d.assistant = ? AND d.channel = ?"""
# The history has no index by device: each heartbeat names the one before it.
_HABITS = """WITH RECURSIVE history (previous_id, received_at, idle_seconds) AS (
 SELECT h.previous_id, h.received_at, h.idle_seconds FROM heartbeats AS h
 JOIN devices AS d ON h.id = d.last_heartbeat_id WHERE d.id = ?
 UNION ALL SELECT h.previous_id, h.received_at, h.idle_seconds FROM heartbeats AS h
 JOIN history ON h.id = history.previous_id WHERE h.received_at >= ?)
 SELECT CAST(substr(received_at, 12, 2) AS INTEGER) AS hour, avg(idle_seconds >= ?) AS share FROM history
 WHERE received_at >= ? AND idle_seconds IS NOT NULL GROUP BY 1 HAVING count(*) >= ?"""
_ASSUMPTIONS = (
    "nothing halts or pauses it, and no newer release supersedes it",
    "the devices have the agent's default settings: a window from 02:00 to 04:00, an hour without use for urgent ones",
    "downloading takes no time, and nobody uses the assistant in its window",
)


def shown(connection: sqlite3.Connection, update_id: str) -> answers.UpdateShown | None:
    """An update with its rollout; None where there is no such one."""
    with snapshot(connection):
        row = updates.find(connection, update_id)
        if row is None:
            return None
        whole = updates.answer(row)
        rollout = of_waves(connection, row, wave_counts.by_wave(connection, row))
        return answers.UpdateShown(**dict(whole), rollout=rollout)


def of_waves(connection: sqlite3.Connection, row: sqlite3.Row, by_wave: Sequence[Counter[str]]) -> answers.RolloutShown:
    """A rollout as the API shows it, whose devices were counted by wave and status (``wave_counts.by_wave``)."""
    rollout, opened = rollouts.of(row), rollouts.of(row).opening.opened
    statuses = sum(by_wave, Counter[str]())
    recorded = Counter(rollouts.statuses(connection, row["id"]))
    outcomes, limit, state = rollouts.outcomes(connection, row["id"]), rollout.limit, UpdateState(row["state"])
    return answers.RolloutShown(
        state=state,
        expedited=rollout.expedited,
        waves=[
            answers.WaveShown(
                number=index + 1,
                group=wave.group,
                percent=wave.percent,
                dwell_seconds=_seconds(wave.dwell),
                opened_at=opened[index] if index < len(opened) else None,
                size=by_wave[index].total(),
                statuses=dict(sorted(by_wave[index].items())),
            )
            for index, wave in enumerate(rollout.waves)
        ],
        next_wave_at=waves.next_at(rollout) if state is UpdateState.ACTIVE else None,
        failure_limit=None
        if limit is None
        else answers.FailureLimit(percent=limit.percent, minimum=limit.minimum, count=limit.count),
        failures=max(outcomes.failures - rollout.accepted.failures, 0),
        finished=max(outcomes.finished - rollout.accepted.finished, 0),
        stuck={kind: rollouts.stuck_counts(connection, kind).get(row["id"], 0) for kind in Stuck},
        halt_reason=row["halt_reason"],
        stopped_at=times.parse_known(row["stopped_at"]),
        superseded_by=_superseded_by(connection, row),
        devices=statuses.total(),
        statuses=dict(sorted(statuses.items())),
        elsewhere=dict(sorted((recorded - statuses).items())),
    )


def planned(
    connection: sqlite3.Connection, update_id: str, query: wire.PlanQuery, now: datetime
) -> answers.Plan | None:
    """Who gets an update when; None where there is no such one."""
    with snapshot(connection):
        row = updates.find(connection, update_id)
        if row is None:
            return None
        return _plan(connection, row, planned_update(connection, row), query, now)


def planned_update(connection: sqlite3.Connection, row: sqlite3.Row) -> plan.PlannedUpdate:
    """What the plan of an update is made from."""
    return plan.PlannedUpdate(
        id=row["id"],
        version=row["version"],
        urgency=Urgency(row["urgency"]),
        state=UpdateState(row["state"]),
        rollout=rollouts.of(row),
        stopped_at=times.parse_known(row["stopped_at"]),
        superseded_targets=frozenset().union(
            *(updates.targets(newer["name"], newer["packages"]) for newer in rollouts.superseding(connection, row))
        ),
    )


def _plan(
    connection: sqlite3.Connection, row: sqlite3.Row, update: plan.PlannedUpdate, query: wire.PlanQuery, now: datetime
) -> answers.Plan:
    opening = plan.openings(update, now)
    after = decode(query.cursor) if query.cursor is not None else ""
    states: list[Counter[str]] = [Counter() for _ in opening]
    times_to_come: list[list[datetime]] = [[] for _ in opening]
    page: list[sqlite3.Row] = []
    for device in planned_devices(connection, row):
        found = plan.expected(update, _device(device), opening, now)
        states[found.wave][found.state] += 1
        if found.earliest_at is not None:
            times_to_come[found.wave].append(found.earliest_at)
        if device["id"] > after and len(page) <= query.limit and query.wave in {None, found.wave + 1}:
            page.append(device)
    page, more = page[: query.limit], len(page) > query.limit
    stopped = [] if update.state is UpdateState.ACTIVE else [f"it is {update.state}; as if it were resumed now"]
    opened = len(update.rollout.opening.opened)
    return answers.Plan(
        update_id=update.id,
        version=update.version,
        urgency=update.urgency,
        state=update.state,
        as_of=now,
        assumptions=[*stopped, *_ASSUMPTIONS],
        waves=[
            answers.WavePlanned(
                number=index + 1,
                group=wave.group,
                percent=wave.percent,
                opens_at=opening[index],
                opened=index < opened,
                devices=states[index].total(),
                states=dict(sorted(states[index].items())),
                first_at=min(times_to_come[index], default=None),
                last_at=max(times_to_come[index], default=None),
            )
            for index, wave in enumerate(update.rollout.waves)
        ],
        items=expectations(connection, update, page, opening, now),
        next_cursor=encode(page[-1]["id"]) if more else None,
    )


def expectations(
    connection: sqlite3.Connection,
    update: plan.PlannedUpdate,
    page: Sequence[sqlite3.Row],
    opening: list[datetime | None],
    now: datetime,
) -> list[answers.Expected]:
    """What is to be expected of each of some devices (``planned_devices``); ``opening`` is what the plan says."""
    habits: dict[str, dict[int, float]] = {}
    if update.urgency is Urgency.URGENT:
        habits = {row["id"]: _habits(connection, row["id"], now) for row in page}
    items = []
    for row in page:
        found = plan.expected(update, _device(row, habits.get(row["id"])), opening, now)
        items.append(
            answers.Expected(
                device_id=row["id"],
                hostname=row["hostname"],
                group=row["group_name"],
                timezone=row["timezone"],
                wave=found.wave + 1,
                opens_at=found.opens_at,
                state=found.state,
                reason=found.reason,
                earliest_at=found.earliest_at,
                likely_at=found.likely_at,
                basis=found.basis,
            )
        )
    return items


def _superseded_by(connection: sqlite3.Connection, row: sqlite3.Row) -> str | None:
    """The highest newer release for a target that this one was built for; its id."""
    own = updates.targets(row["name"], row["packages"])
    newer = rollouts.superseding(connection, row)
    return next((str(one["id"]) for one in newer if own & updates.targets(one["name"], one["packages"])), None)


def planned_devices(
    connection: sqlite3.Connection, row: sqlite3.Row, *, after: str = "", group: str | None = None
) -> Iterator[sqlite3.Row]:
    """The devices that an update is for, with what the plan needs of them, in the order of their ids.

    Those behind the id ``after``, and of this ``group`` if one is given.
    """
    values = [row["id"], row["name"], row["channel"], after]
    sql = f"{_PLANNED} AND d.id > ?"
    if group is not None:
        sql += " AND d.group_name = ?"
        values.append(group)
    is_for = updates.built_for(row)
    for device in connection.execute(f"{sql} ORDER BY d.id", values):
        if is_for(device):
            yield device


def _device(row: sqlite3.Row, habits: dict[int, float] | None = None) -> plan.PlannedDevice:
    return plan.PlannedDevice(
        id=row["id"],
        group=row["group_name"],
        timezone=row["timezone"],
        installed=row["installed"],
        active=row["active"],
        hold=row["hold"],
        status=Status(row["status"]) if row["status"] is not None else None,
        expedited=row["expedited_at"] is not None,
        idle=timedelta(seconds=row["idle_seconds"]) if row["idle_seconds"] is not None else None,
        seen_at=times.parse_known(row["last_seen_at"]),
        target=(row["debian"], row["architecture"]),
        habits=habits or {},
    )


def _habits(connection: sqlite3.Connection, device_id: str, now: datetime) -> dict[int, float]:
    """By hour of the day in UTC, how often nobody had used the device for as long as an urgent release asks."""
    since = times.render(now - timedelta(days=_HABIT_DAYS))
    rows = connection.execute(_HABITS, (device_id, since, int(plan.IDLE_REQUIRED.total_seconds()), since, _FEW))
    return {row["hour"]: row["share"] for row in rows}


def _seconds(length: timedelta | None) -> int | None:
    return int(length.total_seconds()) if length is not None else None
