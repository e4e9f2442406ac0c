"""What the server has for a device now: the facts that ``grant`` decides by, and its decision for who looks at it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from repo_server.grant import Decision, DeviceFacts, Known, Nothing, grant
from repo_server.store import devices, progress, updates


def facts(
    device: sqlite3.Row,
    installed: str | None,
    active: str | None,
    known: Mapping[str, Known],
    *,
    debian: str | None = None,
) -> DeviceFacts:
    """What counts about a device; ``known``: of its updates, by id, ``debian``: where it has just told of another."""
    return DeviceFacts(
        debian=debian or device["debian"],
        architecture=device["architecture"],
        installed=installed,
        active=active,
        hold=device["hold"],
        updates=known,
        id=device["id"],
        group=device["group_name"],
    )


def decision(connection: sqlite3.Connection, device: sqlite3.Row, now: datetime) -> Decision:
    """What a heartbeat would be answered now, if the device still is as it last said; nothing is written."""
    if device["state"] != devices.ACTIVE:
        return Nothing()
    found = facts(device, device["installed"], device["active"], progress.known(connection, device["id"]))
    return grant(found, updates.facts_for(connection, device["assistant"], device["channel"]), now)
