"""Rollouts under way: steered by operators, moved on by the clock, halted by failures. Each in one transaction, and
audited.

What is decided here is decided by ``waves`` and ``lifecycle``; this only reads, asks them, and writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from repo_server import answers, enrollment, times, waves, wire
from repo_server.config import Settings
from repo_server.db import Database
from repo_server.errors import ConflictError, NotFoundError
from repo_server.grant import UpdateState, Urgency
from repo_server.lifecycle import FAILURES, STARTED, Status
from repo_server.store import audit, devices, progress, rollouts, updates

MISSING = "there is no such update"


def pause(db: Database, update_id: str, who: str, now: datetime) -> answers.Update:
    """Devices that have not started wait. Again changes nothing. Raises ``NotFoundError``, ``ConflictError``."""

    def work(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        if row["state"] == UpdateState.HALTED:
            raise ConflictError("this update is halted, which stops it already; resume it or withdraw it")
        if row["state"] == UpdateState.ACTIVE:
            _stop(connection, row, UpdateState.PAUSED, who, now)

    return _steer(db, update_id, work)


def halt(db: Database, update_id: str, who: str, now: datetime) -> answers.Update:
    """Stop because something is wrong. Again changes nothing. Raises ``NotFoundError``, ``ConflictError``."""

    def work(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        if row["state"] != UpdateState.HALTED:
            _stop(connection, row, UpdateState.HALTED, who, now, reason=f"halted by {who}")

    return _steer(db, update_id, work)


def resume(db: Database, update_id: str, who: str, now: datetime) -> answers.Update:
    """Go on, or begin. After a halt only new failures count against the limit: these are known to who resumes.

    Raises ``NotFoundError``, ``ConflictError``.
    """

    def work(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        if row["state"] == UpdateState.ACTIVE:
            return
        rollout = rollouts.of(row)
        stopped_at = times.parse(row["stopped_at"]) if row["stopped_at"] is not None else None
        rollout = replace(rollout, opening=waves.go_on(rollout.opening, stopped_at, now))
        if row["state"] == UpdateState.HALTED:
            rollout = replace(rollout, accepted=rollouts.outcomes(connection, update_id))
        rollouts.keep(connection, update_id, rollout, state=UpdateState.ACTIVE, stopped_at=None, halt_reason=None)
        audit.record(connection, now, who, f"update.{UpdateState.ACTIVE}", update_id, before=row["state"])
        judge(connection, update_id, now)  # who had started went on during the pause, and may have failed

    return _steer(db, update_id, work)


def withdraw(db: Database, update_id: str, who: str, now: datetime) -> answers.Update:
    """Take a release back for good: nobody who has not started gets it. Again changes nothing.

    Raises ``NotFoundError``.
    """

    def work(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        if row["state"] != UpdateState.WITHDRAWN:
            _stop(connection, row, UpdateState.WITHDRAWN, who, now, reason=row["halt_reason"])

    return _steer(db, update_id, work, withdrawn_too=True)


def change(db: Database, update_id: str, given: wire.UpdateChange, who: str, now: datetime) -> answers.Update:
    """Other waves, another failure limit. Raises ``NotFoundError``, ``ConflictError``."""

    def work(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        before = rollouts.of(row)
        asked, after = given.rollout, before
        if asked.waves is not None:
            if not waves.keeps_open(before, asked.plan()):
                raise ConflictError(
                    "the waves that are open already must stay as they are, at the beginning of the list; "
                    "GET the update to see them"
                )
            after = replace(after, waves=asked.plan())
        if "failure_limit" in asked.model_fields_set:
            after = replace(after, limit=asked.limit())
        if after == before:
            return
        rollouts.keep(connection, update_id, after)
        audit.record(connection, now, who, "update.rollout", update_id, rollout=rollouts.values(after)["rollout"])
        judge(connection, update_id, now)

    return _steer(db, update_id, work)


def expedite(db: Database, update_id: str, who: str, now: datetime) -> answers.Update:
    """Waves no longer count, and who failed may try once more. A pause, a halt and a hold stay what they are.

    Raises ``NotFoundError``, ``ConflictError``.
    """

    def work(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        rollouts.change(connection, update_id, {"expedited_at": times.render(now)})
        anew = progress.begin_anew(connection, update_id, row["version"], FAILURES, now)
        rollouts.accept_no_more_than_there_is(connection, row)
        audit.record(connection, now, who, "update.expedite", update_id, anew=anew)

    return _steer(db, update_id, work)


def expedite_device(db: Database, update_id: str, device_id: str, who: str, now: datetime) -> answers.DeviceUpdate:
    """The same for one device. Raises ``NotFoundError``, ``ConflictError``."""

    def work(connection: sqlite3.Connection) -> answers.DeviceUpdate:
        row = _steerable(connection, update_id)
        device = enrollment.device(connection, device_id)
        if device["state"] == devices.DECOMMISSIONED:
            raise NotFoundError("this device was decommissioned")
        if (device["assistant"], device["channel"]) != (row["name"], row["channel"]):
            raise ConflictError(
                f"the device follows {device['assistant']} on the channel {device['channel']}; "
                f"this update is {row['name']} on {row['channel']}"
            )
        known = progress.progress(connection, device_id, update_id)
        if known is not None and known.status in {*STARTED, Status.SUCCEEDED}:
            raise ConflictError(f"the device is past that: it has {known.status} in this update")
        progress.expedite(connection, progress.Key(device_id, update_id, Urgency(row["urgency"])), row["version"], now)
        rollouts.accept_no_more_than_there_is(connection, row)
        audit.record(connection, now, who, "device_update.expedite", device_id, update=update_id)
        return progress.one(connection, device_id, update_id)

    return db.write(work)


def found(connection: sqlite3.Connection, update_id: str) -> sqlite3.Row:
    """The update's row. Raises ``NotFoundError``."""
    row = updates.find(connection, update_id)
    if row is None:
        raise NotFoundError(MISSING)
    return row


def moved(connection: sqlite3.Connection, row: sqlite3.Row, status: Status, now: datetime) -> None:
    """A device has moved on to ``status`` in this update; in the same transaction."""
    if status in FAILURES:
        judge(connection, row["id"], now)
    elif row["accepted_finished"]:  # it may have been one that was silent
        rollouts.accept_no_more_than_there_is(connection, row)


def judge(connection: sqlite3.Connection, update_id: str, now: datetime) -> bool:
    """Halt an active update whose failures have reached the limit; True where they have.

    Called in the transaction that brings a failure, so that nobody is granted it in between.
    """
    row = updates.find(connection, update_id)
    if row is None or row["state"] != UpdateState.ACTIVE:
        return False
    if progress.hear_again(connection, update_id):
        rollouts.accept_no_more_than_there_is(connection, row)
        row = updates.find(connection, update_id) or row
    reason = waves.verdict(rollouts.of(row), rollouts.outcomes(connection, update_id))
    if reason is None:
        return False
    _stop(connection, row, UpdateState.HALTED, audit.SERVER, now, reason=reason)
    return True


def tick(db: Database, settings: Settings, now: datetime, serving_since: datetime) -> None:
    """What time alone does: devices become stuck, waves open. Writes only where there is something to write."""
    connection = db.connection()
    for update_id in rollouts.to_look_at(connection):
        row = updates.find(connection, update_id)
        marks = rollouts.marks(connection, update_id, settings.patience, now, serving_since)
        if marks or (row is not None and _is_due(row, now)):
            db.write(lambda inside, one=update_id: _move_on(inside, one, settings, now, serving_since))  # type: ignore[misc]


def _move_on(
    connection: sqlite3.Connection, update_id: str, settings: Settings, now: datetime, serving_since: datetime
) -> None:
    row = updates.find(connection, update_id)
    if row is None:
        return
    for device_id, stuck in rollouts.marks(connection, update_id, settings.patience, now, serving_since).items():
        key = progress.Key(device_id, update_id, Urgency(row["urgency"]))
        progress.mark(connection, key, row["version"], stuck, now)
    rollouts.accept_no_more_than_there_is(connection, row)
    if judge(connection, update_id, now) or not _is_due(row, now):
        return
    rollout = rollouts.of(row)
    rollout = replace(rollout, opening=waves.advance(rollout, now))
    rollouts.keep(connection, update_id, rollout)
    audit.record(connection, now, audit.SERVER, "update.wave", update_id, wave=len(rollout.opening.opened))


def _is_due(row: sqlite3.Row, now: datetime) -> bool:
    due = waves.next_at(rollouts.of(row)) if row["state"] == UpdateState.ACTIVE else None
    return due is not None and due <= now


def _steer(
    db: Database,
    update_id: str,
    work: Callable[[sqlite3.Connection, sqlite3.Row], None],
    *,
    withdrawn_too: bool = False,
) -> answers.Update:
    def whole(connection: sqlite3.Connection) -> answers.Update:
        work(connection, _steerable(connection, update_id, withdrawn_too=withdrawn_too))
        return updates.answer(found(connection, update_id))

    return db.write(whole)


def _stop(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    state: UpdateState,
    who: str,
    now: datetime,
    *,
    reason: str | None = None,
) -> None:
    stopped_at = row["stopped_at"] or times.render(now)  # dwell time stands still from the first stop on
    rollouts.change(connection, row["id"], {"state": state, "stopped_at": stopped_at, "halt_reason": reason})
    detail = {"reason": reason} if reason is not None else {}
    audit.record(connection, now, who, f"update.{state}", row["id"], before=row["state"], **detail)


def _steerable(connection: sqlite3.Connection, update_id: str, *, withdrawn_too: bool = False) -> sqlite3.Row:
    row = found(connection, update_id)
    if row["state"] == UpdateState.WITHDRAWN and not withdrawn_too:
        raise ConflictError("this update was withdrawn; release a higher version instead")
    return row
