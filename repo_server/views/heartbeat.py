"""The heartbeat."""

from __future__ import annotations

import uuid
from functools import partial

from flask import Blueprint, Response, request

from repo_server import answers, body, enrollment, heartbeats, ids, wire
from repo_server.auth import bearer, device_by_bearer, recognised
from repo_server.context import context
from repo_server.errors import ApiError, UnavailableError
from repo_server.operations import Asks, operation
from repo_server.roles import Right
from repo_server.store import heartbeats as store

blueprint = Blueprint("heartbeat", __name__)


@blueprint.post("/devices/<uuid:device_id>/heartbeat")
@operation(
    "Say how the device is, hear what it may install",
    {200: answers.HeartbeatAnswer},
    asks=Asks.DEVICE,
    body=wire.Heartbeat,
)
def heartbeat(device_id: uuid.UUID) -> Response:
    """What it says is recorded before it is answered; the answer says when to come again."""
    here = context()
    if here.waiting() > here.settings.most_waiting:
        raise UnavailableError("too many devices come at once; try again later", here.pacer.retry_seconds())
    if heartbeats.FAILED in request.environ:
        raise request.environ[heartbeats.FAILED]
    now = here.clock()
    interval = here.pacer.next_seconds(now)
    beat = partial(heartbeats.beat, here.db, here.settings, str(device_id), now=now, interval_seconds=interval)
    try:
        said = body.read(wire.Heartbeat, body.HEARTBEAT_BYTES)
        answer = beat(said, token_sha256=ids.sha256_hex(bearer()))
    except ApiError:
        device_by_bearer(device_id, pending=True)  # a stranger hears only that it is one
        raise
    except heartbeats.NotRecognisedError:
        device_by_bearer(device_id, pending=True)
        answer = beat(said, token_sha256=None)
    else:
        recognised(f"device:{device_id}")
    return answers.respond(answer)


@blueprint.get("/devices/<uuid:device_id>/heartbeats")
@operation("A device's heartbeats", {200: answers.Page[answers.Heartbeat]}, right=Right.VIEW, query=wire.PageQuery)
def heartbeats_of(device_id: uuid.UUID) -> Response:
    """The newest first, as far back as they are kept."""
    connection = context().db.connection()
    row = enrollment.device(connection, str(device_id))
    rows = store.list_page(connection, row, body.read_query(wire.PageQuery))
    return answers.respond(rows)
