"""The heartbeat."""

from __future__ import annotations

import uuid
from functools import partial

from flask import Blueprint, Response

from repo_server import answers, body, heartbeats, ids, wire
from repo_server.auth import bearer, device_by_bearer, recognised
from repo_server.context import context
from repo_server.errors import ApiError
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
    here = context()
    beat = partial(heartbeats.beat, here.db, here.settings, str(device_id))
    try:
        said = body.read(wire.Heartbeat, body.HEARTBEAT_BYTES)
        answer = beat(said, here.clock(), token_sha256=ids.sha256_hex(bearer()))
    except ApiError:
        device_by_bearer(device_id, pending=True)  # a stranger hears only that it is one
        raise
    except heartbeats.NotRecognisedError:
        device_by_bearer(device_id, pending=True)
        answer = beat(said, here.clock(), token_sha256=None)
    else:
        recognised(f"device:{device_id}")
    return answers.respond(answer)
