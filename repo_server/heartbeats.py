"""A heartbeat, from the validated body to the answer: keep it, decide, keep the decision, in one transaction."""

from __future__ import annotations

import hmac
import sqlite3
from datetime import datetime

from repo_server import answers, offers, wire
from repo_server.config import Settings
from repo_server.db import Database, Durability
from repo_server.errors import GoneError
from repo_server.grant import Decision, Grant, Nothing, Withhold, grant
from repo_server.store import clones, devices, heartbeats, progress, updates

FAILED = "repo_server.heartbeat_failed"
"""In the WSGI environment: why this heartbeat could not be written a moment ago. It is not waited for once more."""


class NotRecognisedError(Exception):
    """The device is not an active one, or the token not its only one: ``auth`` has to look closer."""


def beat(
    db: Database,
    settings: Settings,
    device_id: str,
    heartbeat: wire.Heartbeat,
    now: datetime,
    *,
    interval_seconds: int,
    token_sha256: str | None,
) -> answers.HeartbeatAnswer:
    """Record one heartbeat and answer it.

    ``interval_seconds``: until the next one. ``token_sha256``: of the token that the device has sent, checked here,
    where its row is read anyway; None where ``auth`` has recognised the device. Survives a crash, not a power cut: a
    grant that is lost with it is given anew by the next heartbeat. Raises ``NotRecognisedError`` and ``GoneError``, and
    then nothing was written.
    """
    deadlines = settings.tolerance.after_heartbeat(now, interval_seconds)

    def work(connection: sqlite3.Connection) -> answers.HeartbeatAnswer:
        row = heartbeats.find_device(connection, device_id)
        if row is None or (token_sha256 is not None and not _recognised(row, token_sha256)):
            raise NotRecognisedError
        if row["state"] == devices.DECOMMISSIONED:  # since it was recognised
            raise GoneError(devices.GONE)
        if row["boot_id"] not in {heartbeat.boot_id, None}:
            clones.notice(connection, row, heartbeat, now)
        heartbeats.record(connection, row, heartbeat, interval_seconds=interval_seconds, deadlines=deadlines, now=now)
        has = heartbeat.assistant
        if heartbeat.debian not in {None, row["debian"]} and has.installed is None and has.active is None:
            progress.lost(connection, row["id"], now)
        known = progress.known(connection, row["id"])
        facts = offers.facts(row, has.installed, has.active, known, debian=heartbeat.debian)
        name, channel = has.name, row["channel"]
        decision: Decision = Nothing()
        if row["state"] == devices.ACTIVE:
            offered = db.remember(("updates", name, channel), lambda: updates.facts_for(connection, name, channel))
            decision = grant(facts, offered, now)
        offer = withheld = None
        if isinstance(decision, Grant):
            progress.record_grant(connection, row["id"], decision, known, now)
            offer = _offer(decision)
        elif isinstance(decision, Withhold):
            progress.record_withhold(connection, row["id"], decision, known, now)
            update = decision.update
            withheld = answers.Withheld(update_id=update.id, version=update.version, reason=decision.reason)
        return answers.HeartbeatAnswer(
            server_time=now,
            next_heartbeat_seconds=interval_seconds,
            channel=channel,
            hold=row["hold"],
            offer=offer,
            withheld=withheld,
            timezone=row["timezone_override"],
            state=row["state"],
            rotate_token=row["rotation_requested_at"] is not None,
        )

    return db.write(work, Durability.CRASH)


def _recognised(row: sqlite3.Row, token_sha256: str) -> bool:
    return row["state"] == devices.ACTIVE and hmac.compare_digest(token_sha256, row["token_sha256"])


def _offer(decision: Grant) -> answers.Offer:
    update = decision.update
    return answers.Offer(
        update_id=update.id,
        name=update.name,
        version=update.version,
        urgency=decision.urgency,
        granted_at=decision.granted_at,
        expedited=decision.expedited,
    )
