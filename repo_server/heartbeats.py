"""A heartbeat, from the validated body to the answer: keep it, decide, keep the decision, in one transaction."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from repo_server import answers, wire
from repo_server.config import Settings
from repo_server.db import Database, Durability
from repo_server.errors import GoneError
from repo_server.grant import Decision, DeviceFacts, Grant, Nothing, Withhold, grant
from repo_server.store import devices, progress, updates


def beat(
    db: Database, settings: Settings, device: sqlite3.Row, heartbeat: wire.Heartbeat, now: datetime
) -> answers.HeartbeatAnswer:
    """Record one heartbeat of ``device`` and answer it.

    Survives a crash, not a power cut: a grant that is lost with it is given anew by the next heartbeat.
    """

    def work(connection: sqlite3.Connection) -> answers.HeartbeatAnswer:
        devices.record_heartbeat(connection, device["id"], heartbeat, now)
        # Read again inside the transaction: an operator may have moved or held the device since.
        row = connection.execute(
            "SELECT state, channel, group_name, hold, timezone_override, rotation_requested_at FROM devices"
            " WHERE id = ?",
            (device["id"],),
        ).fetchone()
        if row["state"] == devices.DECOMMISSIONED:  # since its token was looked at
            raise GoneError(devices.GONE)
        known = progress.known(connection, device["id"])
        facts = DeviceFacts(
            debian=device["debian"],
            architecture=device["architecture"],
            installed=heartbeat.assistant.installed,
            active=heartbeat.assistant.active,
            hold=row["hold"],
            updates=known,
            id=device["id"],
            group=row["group_name"],
        )
        decision: Decision = Nothing()
        if row["state"] == devices.ACTIVE:
            decision = grant(facts, updates.facts_for(connection, heartbeat.assistant.name, row["channel"]), now)
        offer = withheld = None
        if isinstance(decision, Grant):
            progress.record_grant(connection, device["id"], decision, known, now)
            offer = _offer(decision)
        elif isinstance(decision, Withhold):
            progress.record_withhold(connection, device["id"], decision, known, now)
            update = decision.update
            withheld = answers.Withheld(update_id=update.id, version=update.version, reason=decision.reason)
        return answers.HeartbeatAnswer(
            server_time=now,
            next_heartbeat_seconds=settings.heartbeat_seconds,
            channel=row["channel"],
            hold=row["hold"],
            offer=offer,
            withheld=withheld,
            timezone=row["timezone_override"],
            state=row["state"],
            rotate_token=row["rotation_requested_at"] is not None,
        )

    return db.write(work, Durability.CRASH)


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
