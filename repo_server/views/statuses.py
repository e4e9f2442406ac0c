"""Statuses of device updates, from the device's outbox."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import answers, body, changes, wire
from repo_server.auth import device_by_bearer
from repo_server.context import context
from repo_server.operations import Asks, operation

blueprint = Blueprint("statuses", __name__)


@blueprint.post("/devices/<uuid:device_id>/updates/<uuid:update_id>/status")
@operation("Report statuses of an update", {200: answers.Acknowledged}, asks=Asks.DEVICE, body=wire.StatusBatch)
def report(device_id: uuid.UUID, update_id: uuid.UUID) -> Response:
    """Take a batch; what is acknowledged is on disk."""
    device_by_bearer(device_id)
    here = context()
    batch = body.read(wire.StatusBatch)
    return answers.respond(changes.report(here.db, str(device_id), str(update_id), batch, here.clock()))
