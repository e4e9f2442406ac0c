"""Updates: announced by builders, watched by viewers. What operators do to them is in ``rollouts``."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import answers, body, changes, steering, wire
from repo_server.auth import who
from repo_server.context import context
from repo_server.errors import NotFoundError
from repo_server.operations import operation
from repo_server.roles import Right
from repo_server.rollout_answers import UpdateShown
from repo_server.store import progress, releases, spread, updates

blueprint = Blueprint("updates", __name__)


@blueprint.post("/updates/")
@operation(
    "Announce a published release",
    {201: answers.Update, 200: answers.Update},
    right=Right.ANNOUNCE,
    body=wire.Announcement,
    refusals=(409,),
)
def announce() -> Response:
    """The same again is answered with 200; a version that exists with other content with 409."""
    here = context()
    update, new = changes.announce(here.db, body.read(wire.Announcement), here.settings.rollout, who(), here.clock())
    return answers.respond(update, 201 if new else 200)


@blueprint.get("/updates/")
@operation("List the updates", {200: answers.Page[answers.Update]}, right=Right.VIEW, query=wire.UpdateQuery)
def listed() -> Response:
    """The newest first."""
    rows = updates.list_page(context().db.connection(), body.read_query(wire.UpdateQuery))
    return answers.respond(rows)


@blueprint.get("/releases/<name>")
@operation(
    "What a builder may know of an assistant's releases",
    {200: answers.Releases},
    right=Right.ANNOUNCE,
    query=wire.ReleasesQuery,
)
def of_an_assistant(name: str) -> Response:
    """Its updates, and which versions devices have or may get; nothing about a home. Empty for an unknown name."""
    query = body.read_query(wire.ReleasesQuery)
    return answers.respond(releases.of(context().db.connection(), name, query.version))


@blueprint.get("/updates/<uuid:update_id>")
@operation("One update and how it spreads", {200: UpdateShown}, right=Right.VIEW)
def one(update_id: uuid.UUID) -> Response:
    """The release, its waves and failure limit, and how far its devices are."""
    found = spread.shown(context().db.connection(), str(update_id))
    if found is None:
        raise NotFoundError(steering.MISSING)
    return answers.respond(found)


@blueprint.get("/updates/<uuid:update_id>/devices")
@operation(
    "How far each device is",
    {200: answers.Page[answers.DeviceUpdate]},
    right=Right.VIEW,
    query=wire.PageQuery,
)
def devices(update_id: uuid.UUID) -> Response:
    """With the end of the log of those that went back."""
    steering.found(context().db.connection(), str(update_id))
    rows = progress.list_page(context().db.connection(), str(update_id), body.read_query(wire.PageQuery))
    return answers.respond(rows)


@blueprint.get("/updates/<uuid:update_id>/devices/<uuid:device_id>/events")
@operation(
    "What happened on one device",
    {200: answers.Page[answers.DeviceUpdateEvent]},
    right=Right.VIEW,
    query=wire.PageQuery,
)
def events(update_id: uuid.UUID, device_id: uuid.UUID) -> Response:
    """The oldest first: what the device reported, and the server's own grants."""
    steering.found(context().db.connection(), str(update_id))
    query = body.read_query(wire.PageQuery)
    rows = progress.list_events(context().db.connection(), str(update_id), str(device_id), query)
    return answers.respond(rows)
