"""The heartbeat."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import answers, body, heartbeats, wire
from repo_server.auth import device_by_bearer
from repo_server.context import context
from repo_server.operations import Asks, operation

blueprint = Blueprint("heartbeat", __name__)


@blueprint.post("/devices/<uuid:device_id>/heartbeat")
@operation(
    "Say how the device is, hear what it may install",
    {200: answers.HeartbeatAnswer},
    asks=Asks.DEVICE,
    body=wire.Heartbeat,
)
def heartbeat(device_id: uuid.UUID) -> Response:
    """A device says how it is, and hears what it may install."""
    device = device_by_bearer(device_id, pending=True)
    here = context()
    beat = body.read(wire.Heartbeat, body.HEARTBEAT_BYTES)
    return answers.respond(heartbeats.beat(here.db, here.settings, device, beat, here.clock()))
