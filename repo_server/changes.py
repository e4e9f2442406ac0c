"""What is done to devices and updates: each as one transaction, with its entry in the audit log."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import answers, enrollment, steering, wire
from repo_server.db import Database
from repo_server.errors import ConflictError, GoneError, NotFoundError
from repo_server.grant import Urgency
from repo_server.lifecycle import Progress, Report, Status, Verdict, apply
from repo_server.store import audit, devices, progress, updates
from repo_server.waves import Rollout


def report(
    db: Database, device_id: str, update_id: str, batch: wire.StatusBatch, now: datetime
) -> answers.Acknowledged:
    """Take a batch of statuses in the order of their sequence numbers.

    Repeats and illegal moves are acknowledged too, or the device would send them for ever. Raises ``NotFoundError``.
    """
    ordered = sorted(batch.statuses, key=lambda one: one.sequence)

    def work(connection: sqlite3.Connection) -> answers.Acknowledged:
        update = updates.find(connection, update_id)
        if update is None:
            raise NotFoundError("this update is not known here")
        key = progress.Key(device_id, update_id, Urgency(update["urgency"]))
        known = progress.progress(connection, device_id, update_id) or Progress()
        for one in ordered:
            same_version = one.version == update["version"]
            known, verdict = apply(known, Report(one.sequence, Status(one.status)), same_version=same_version)
            progress.record_report(connection, key, one, verdict, now)
            if verdict is Verdict.APPLIED:
                steering.moved(connection, update, known.status, now)
        return answers.Acknowledged(acknowledged=ordered[-1].sequence)

    return db.write(work)


def announce(
    db: Database, given: wire.Announcement, defaults: Rollout, who: str, now: datetime
) -> tuple[answers.Update, bool]:
    """Record a published release; returns it and whether it is new.

    What it does not say of its rollout is ``defaults``. Announced again it keeps the rollout it has: operators change
    that. Raises ``ConflictError``: a version is never reused.
    """

    def work(connection: sqlite3.Connection) -> tuple[answers.Update, bool]:
        packages = updates.packages_text(given.packages)
        for row in updates.of_version(connection, given.name, given.version):
            if row["packages"] != packages:
                raise ConflictError(
                    f"{given.name} {given.version} was announced before with other packages (on the channel "
                    f"{row['channel']}); a version is never reused, choose a higher one"
                )
            if row["channel"] != given.channel:
                continue
            if any(row[name] != getattr(given, name) for name in ("urgency", "notes", "minimum_agent")):
                raise ConflictError(
                    f"{given.name} {given.version} was announced before on {given.channel} with another urgency, "
                    "notes or minimum agent; a version is never reused, choose a higher one"
                )
            return updates.answer(row), False
        update_id = updates.insert(connection, given, _rollout(given.rollout, defaults), who, now)
        audit.record(connection, now, who, "update.announce", update_id, name=given.name, version=given.version)
        return updates.answer(steering.found(connection, update_id)), True

    return db.write(work)


def _rollout(given: wire.RolloutGiven | None, defaults: Rollout) -> Rollout:
    if given is None:
        return defaults
    return Rollout(
        waves=given.plan() or defaults.waves,
        limit=given.limit() if "failure_limit" in given.model_fields_set else defaults.limit,
    )


def change_device(db: Database, device_id: str, given: wire.DeviceChange, who: str, now: datetime) -> sqlite3.Row:
    """Set what an operator gave; returns the device. Raises ``NotFoundError``, ``GoneError``."""

    def work(connection: sqlite3.Connection) -> sqlite3.Row:
        row = enrollment.device(connection, device_id)
        if row["state"] == devices.DECOMMISSIONED:
            raise GoneError("this device was decommissioned; it cannot be changed any more")
        values = given.model_dump(include=given.model_fields_set)
        before = devices.settings(row, values)
        after = {name: value for name, value in values.items() if value != before[name]}
        if after:
            devices.change(connection, device_id, after)
            before = {name: before[name] for name in after}
            audit.record(connection, now, who, "device.change", device_id, before=before, after=after)
        return enrollment.device(connection, device_id)

    return db.write(work)
