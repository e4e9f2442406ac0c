"""Device updates and their events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from repo_server import answers, events, times, wire
from repo_server.grant import Grant, Known, Urgency, Withhold
from repo_server.lifecycle import FINAL, Progress, Status, Stuck, Verdict
from repo_server.store.paging import page

_EVENT = """INSERT OR IGNORE INTO device_update_events (device_id, update_id, sequence, status, verdict, version,
 reason, retry_at, detail, log_tail, at, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True)
class Key:
    """One device's progress through one update."""

    device_id: str
    update_id: str
    urgency: Urgency
    """The update's own; kept where the device reports on an update that was never granted here."""


def known(connection: sqlite3.Connection, device_id: str) -> dict[str, Known]:
    """What ``grant`` needs to know of a device's updates, by update id."""
    rows = connection.execute(
        "SELECT update_id, status, granted_at, urgency, expedited_at FROM device_updates WHERE device_id = ?",
        (device_id,),
    )
    return {
        row["update_id"]: Known(
            status=Status(row["status"]),
            granted_at=times.parse(row["granted_at"]) if row["granted_at"] is not None else None,
            urgency=Urgency(row["urgency"]),
            expedited=row["expedited_at"] is not None,
        )
        for row in rows
    }


def record_grant(
    connection: sqlite3.Connection, device_id: str, grant: Grant, before: Mapping[str, Known], now: datetime
) -> None:
    """Keep a grant, if it says something new."""
    known_before = before.get(grant.update.id)
    if known_before and known_before.granted_at is not None and known_before.urgency is grant.urgency:
        return
    at = times.render(grant.granted_at)
    connection.execute(
        "INSERT INTO device_updates (device_id, update_id, status, sequence, urgency, granted_at, expedited_at,"
        " updated_at) VALUES (?, ?, ?, 0, ?, ?, ?, ?)"
        " ON CONFLICT (device_id, update_id) DO UPDATE SET granted_at = excluded.granted_at,"
        " urgency = excluded.urgency, expedited_at = coalesce(expedited_at, excluded.expedited_at)",
        (device_id, grant.update.id, Status.GRANTED, grant.urgency, at, at if grant.expedited else None, at),
    )
    _event_of_ours(connection, device_id, grant.update.id, grant.update.version, now, status=Status.GRANTED)


def record_withhold(
    connection: sqlite3.Connection, device_id: str, withhold: Withhold, before: Mapping[str, Known], now: datetime
) -> None:
    """Take a grant back, if there is one; a later grant is a new one, with its own time."""
    known_before = before.get(withhold.update.id)
    if known_before is None or known_before.granted_at is None or known_before.status in FINAL:
        return
    connection.execute(
        "UPDATE device_updates SET granted_at = NULL WHERE device_id = ? AND update_id = ?",
        (device_id, withhold.update.id),
    )
    update = withhold.update
    _event_of_ours(
        connection, device_id, update.id, update.version, now, status=known_before.status, reason=withhold.reason
    )


def progress(connection: sqlite3.Connection, device_id: str, update_id: str) -> Progress | None:
    """How far a device is in an update; None where nothing was ever said of it."""
    row = connection.execute(
        "SELECT status, sequence FROM device_updates WHERE device_id = ? AND update_id = ?", (device_id, update_id)
    ).fetchone()
    return Progress(Status(row["status"]), row["sequence"]) if row is not None else None


def forget(connection: sqlite3.Connection, device_id: str) -> None:
    """Forget how far a device is in every update: one that was flashed anew begins anew, its sequence numbers too."""
    for table in ("device_update_events", "device_updates"):
        connection.execute(f"DELETE FROM {table} WHERE device_id = ?", (device_id,))  # noqa: S608 - our own names


def record_report(
    connection: sqlite3.Connection, key: Key, report: wire.StatusReport, verdict: Verdict, now: datetime
) -> None:
    """Keep a reported status as an event, once, and as the device's progress where it was applied."""
    said = (report.reason, times.render(report.retry_at) if report.retry_at else None, report.detail, report.log_tail)
    at, received_at = times.render(report.at), times.render(now)
    connection.execute(
        _EVENT,
        (key.device_id, key.update_id, report.sequence, report.status, verdict, report.version, *said, at, received_at),
    )
    if verdict is not Verdict.APPLIED:
        return
    connection.execute(
        "INSERT INTO device_updates (device_id, update_id, status, reason, retry_at, detail, log_tail, sequence,"
        " urgency, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (device_id, update_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,"
        " retry_at = excluded.retry_at, detail = excluded.detail, log_tail = excluded.log_tail,"
        " sequence = excluded.sequence, updated_at = excluded.updated_at,"
        " stuck = NULL, stuck_at = NULL",
        (key.device_id, key.update_id, report.status, *said, report.sequence, key.urgency, received_at),
    )
    _tell(connection, key.device_id, key.update_id, status=report.status, reason=report.reason, at=received_at)


def begin_anew(
    connection: sqlite3.Connection, update_id: str, version: str, statuses: Iterable[Status], now: datetime
) -> int:
    """Devices at one of these statuses may try once more, expedited, with a grant to come; returns how many."""
    words = ", ".join(f"'{status}'" for status in sorted(statuses))
    found = connection.execute(
        f"SELECT device_id FROM device_updates WHERE update_id = ? AND status IN ({words})",  # noqa: S608 - our own words
        (update_id,),
    ).fetchall()
    for row in found:
        _anew(connection, row["device_id"], update_id, version, now)
    return len(found)


def expedite(connection: sqlite3.Connection, key: Key, version: str, now: datetime) -> None:
    """The same for one device, whatever it has done in this update so far."""
    connection.execute(
        "INSERT OR IGNORE INTO device_updates (device_id, update_id, status, sequence, urgency, updated_at)"
        " VALUES (?, ?, ?, 0, ?, ?)",
        (key.device_id, key.update_id, Status.GRANTED, key.urgency, times.render(now)),
    )
    _anew(connection, key.device_id, key.update_id, version, now)


def lost(connection: sqlite3.Connection, device_id: str, now: datetime) -> None:
    """The device has lost what it installed last, with an upgrade of its system: it may install that again.

    Its release has packages of its own for the new system, and so is not what had succeeded there.
    """
    row = connection.execute(
        "SELECT d.update_id, d.status, u.version FROM device_updates AS d JOIN updates AS u ON u.id = d.update_id"
        " WHERE d.device_id = ? ORDER BY d.updated_at DESC, d.update_id DESC LIMIT 1",
        (device_id,),
    ).fetchone()
    if row is None or row["status"] != Status.SUCCEEDED:
        return
    connection.execute(
        "UPDATE device_updates SET status = ?, granted_at = NULL, updated_at = ? WHERE device_id = ? AND update_id = ?",
        (Status.GRANTED, times.render(now), device_id, row["update_id"]),
    )
    _event_of_ours(
        connection, device_id, row["update_id"], row["version"], now, status=Status.GRANTED, reason="LOST_BY_UPGRADE"
    )


def _anew(connection: sqlite3.Connection, device_id: str, update_id: str, version: str, now: datetime) -> None:
    at = times.render(now)
    # The sequence stays: what is still on its way from the attempt before must not count for the new one.
    connection.execute(
        "UPDATE device_updates SET status = ?, reason = NULL, retry_at = NULL, detail = NULL, log_tail = NULL,"
        " granted_at = NULL, expedited_at = ?, updated_at = ? WHERE device_id = ? AND update_id = ?",
        (Status.GRANTED, at, at, device_id, update_id),
    )
    _event_of_ours(connection, device_id, update_id, version, now, status=Status.GRANTED, reason="EXPEDITED")


def mark(connection: sqlite3.Connection, key: Key, version: str, stuck: Stuck | None, now: datetime) -> None:
    """Remember that a device is stuck, and how; or that it is no longer."""
    row = connection.execute(
        "UPDATE device_updates SET stuck = ?, stuck_at = ? WHERE device_id = ? AND update_id = ? RETURNING status",
        (stuck, times.render(now) if stuck is not None else None, key.device_id, key.update_id),
    ).fetchone()
    reason = "HEARD_AGAIN" if stuck is None else stuck.upper()
    _event_of_ours(connection, key.device_id, key.update_id, version, now, status=Status(row["status"]), reason=reason)


def hear_again(connection: sqlite3.Connection, update_id: str) -> bool:
    """Devices that spoke since they were marked silent are so no longer, before anybody counts them as failed.

    Whether there were any.
    """
    done = connection.execute(
        "UPDATE device_updates SET stuck = NULL, stuck_at = NULL WHERE update_id = ? AND stuck = ?"
        " AND EXISTS (SELECT 1 FROM devices WHERE id = device_id AND last_seen_at > device_updates.stuck_at)",
        (update_id, Stuck.SILENT),
    )
    return done.rowcount > 0


def one(connection: sqlite3.Connection, device_id: str, update_id: str) -> answers.DeviceUpdate:
    """How far a device is."""
    row = connection.execute(
        "SELECT * FROM device_updates WHERE device_id = ? AND update_id = ?", (device_id, update_id)
    ).fetchone()
    return _answer(row)


def list_page(
    connection: sqlite3.Connection, update_id: str, query: wire.PageQuery
) -> answers.Page[answers.DeviceUpdate]:
    """One page of the devices of an update."""
    return page(
        connection,
        "SELECT * FROM device_updates",
        [("update_id = ?", update_id)],
        key="device_id",
        limit=query.limit,
        cursor=query.cursor,
        make=_answer,
    )


def list_events(
    connection: sqlite3.Connection, update_id: str, device_id: str, query: wire.PageQuery
) -> answers.Page[answers.DeviceUpdateEvent]:
    """One page of what happened on one device in one update, the oldest first."""
    return page(
        connection,
        # As text of fixed width: a cursor is text, and so orders as the numbers do.
        "SELECT *, printf('%019d', id) AS position FROM device_update_events",
        [("update_id = ?", update_id), ("device_id = ?", device_id)],
        key="position",
        limit=query.limit,
        cursor=query.cursor,
        make=_event_answer,
    )


def _tell(
    connection: sqlite3.Connection, device_id: str, update_id: str, *, status: str, reason: str | None, at: str
) -> None:
    """Whoever watches hears where the device is now."""
    events.note(
        connection, "device_update", device_id=device_id, update_id=update_id, status=status, reason=reason, at=at
    )


def _event_answer(row: sqlite3.Row) -> answers.DeviceUpdateEvent:
    return answers.DeviceUpdateEvent(**{name: row[name] for name in answers.DeviceUpdateEvent.model_fields})


def _answer(row: sqlite3.Row) -> answers.DeviceUpdate:
    same = ("device_id", "status", "reason", "retry_at", "detail", "log_tail", "sequence", "updated_at", "stuck")
    return answers.DeviceUpdate(**{name: row[name] for name in same}, expedited=row["expedited_at"] is not None)


def _event_of_ours(
    connection: sqlite3.Connection,
    device_id: str,
    update_id: str,
    version: str,
    now: datetime,
    *,
    status: Status,
    reason: str | None = None,
) -> None:
    at = times.render(now)
    connection.execute(
        _EVENT,
        (device_id, update_id, None, status, Verdict.APPLIED, version, reason, None, None, None, at, at),
    )
    _tell(connection, device_id, update_id, status=status, reason=reason, at=at)
