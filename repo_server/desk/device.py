"""One device: what it is, what its gate waits for, what it went through, and what can be done."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import answers, enrollment, offers, privacy
from repo_server.context import context
from repo_server.desk import page, words
from repo_server.desk.device_words import offered, shown
from repo_server.desk.hours import by_hour
from repo_server.grant import update_to_expedite
from repo_server.roles import Right
from repo_server.store import device_history, devices
from repo_server.store.reading import snapshot

blueprint = Blueprint("desk_device", __name__)
_DAY_OF_HEARTBEATS = 300
"""At one in five minutes, and some more."""
_LISTED = 12
_UPDATES, _EVENTS = 5, 30


@blueprint.get("/devices/<uuid:device_id>")
@page.page(Right.VIEW)
def one(device_id: uuid.UUID) -> Response:
    """One device, also a retired one."""
    here, now = context(), context().clock()
    connection = here.db.connection()
    with snapshot(connection):
        row = enrollment.device(connection, str(device_id))
        beats = device_history.heartbeats_of(connection, row, _DAY_OF_HEARTBEATS)
        passed = device_history.updates(connection, str(device_id), _UPDATES, _EVENTS)
        decision = offers.decision(connection, row, now)
    return page.render(
        "device.html",
        one=shown(devices.answer(row, now), now),
        row=row,
        hours=by_hour(beats, now),
        beats=beats[:_LISTED],
        passed=passed,
        offered=offered(decision),
        expeditable=update_to_expedite(decision) is not None,
        words=words,
    )


@blueprint.get("/devices/<uuid:device_id>/export")
@page.page(Right.OPERATE)
def export(device_id: uuid.UUID) -> Response:
    """Everything that is kept about a device, as a file for whoever lives there."""
    here = context()
    response = answers.respond(privacy.export(here.db, str(device_id), here.clock()))
    response.headers["Content-Disposition"] = f'attachment; filename="device-{device_id}.json"'
    return response
