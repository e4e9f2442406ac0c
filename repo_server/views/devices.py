"""Registration, and devices as people see them."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import answers, answers_identity, body, changes, enrollment, privacy, rotation, wire, wire_identity
from repo_server.auth import comes_back, device_by_bearer, enrollment_token, who
from repo_server.context import context
from repo_server.operations import NOTHING, Asks, operation
from repo_server.roles import Right
from repo_server.store import device_lists, devices, identity

blueprint = Blueprint("devices", __name__)


@blueprint.post("/devices/")
@operation(
    "Register a device",
    {201: answers.Registered, 200: answers.Registered},
    asks=Asks.ENROLLMENT,
    body=wire.Registration,
    refusals=(409, 410),
)
def register() -> Response:
    """A device announces itself, with an enrollment token."""
    secret = enrollment_token()  # before the body is looked at: strangers get nothing parsed
    here, now = context(), context().clock()
    given = body.read(wire.Registration)
    if secret is None:
        comes_back(given)
        row, new = enrollment.come_back(here.db, given, now)
    else:
        row, new = enrollment.register(here.db, secret, given, now, approval=here.settings.approve_devices)
    answer = answers.Registered(id=row["id"], channel=row["channel"], state=row["state"], server_time=now)
    return answers.respond(answer, 201 if new else 200)


@blueprint.get("/devices/")
@operation("List the devices", {200: answers.Page[answers.Device]}, right=Right.VIEW, query=wire.DeviceQuery)
def listed() -> Response:
    """Retired ones are listed with ``state=decommissioned`` only."""
    here, query = context(), body.read_query(wire.DeviceQuery)
    rows = device_lists.list_page(here.db.connection(), query, here.clock())
    return answers.respond(rows)


@blueprint.get("/devices/<uuid:device_id>")
@operation("One device", {200: answers.Device}, right=Right.VIEW)
def one(device_id: uuid.UUID) -> Response:
    """Also a retired one."""
    here = context()
    row = enrollment.device(here.db.connection(), str(device_id))
    return answers.respond(devices.answer(row, here.clock()))


@blueprint.patch("/devices/<uuid:device_id>")
@operation(
    "Change a device: name, group, channel, time zone, hold",
    {200: answers.Device},
    right=Right.OPERATE,
    body=wire.DeviceChange,
    refusals=(410,),
)
def change(device_id: uuid.UUID) -> Response:
    """What is left out stays, null clears. It counts with the device's next heartbeat."""
    here, now = context(), context().clock()
    row = changes.change_device(here.db, str(device_id), body.read(wire.DeviceChange), who(), now)
    return answers.respond(devices.answer(row, now))


@blueprint.delete("/devices/<uuid:device_id>")
@operation("Decommission a device", {204: NOTHING}, right=Right.OPERATE, query=wire_identity.DecommissionQuery)
def decommission(device_id: uuid.UUID) -> Response:
    """It loses the API and the repository at once, and may not register again."""
    here, now, query = context(), context().clock(), body.read_query(wire_identity.DecommissionQuery)
    enrollment.decommission(here.db, str(device_id), who(), now)
    if query.erase:
        privacy.erase(here.db, str(device_id), who(), now)
    return Response(status=204)


@blueprint.get("/devices/<uuid:device_id>/export")
@operation("Everything that is kept about a device", {200: answers_identity.Export}, right=Right.OPERATE)
def export(device_id: uuid.UUID) -> Response:
    """For whoever lives there: the rows as they are kept, of tokens only the fingerprints."""
    here = context()
    response = answers.respond(privacy.export(here.db, str(device_id), here.clock()))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.delete("/devices/<uuid:device_id>/data")
@operation("Delete what is kept about a home until now", {204: NOTHING}, right=Right.OPERATE)
def erase(device_id: uuid.UUID) -> Response:
    """Heartbeats, events, and the words of its progress; the device stays registered."""
    here = context()
    privacy.erase(here.db, str(device_id), who(), here.clock())
    return Response(status=204)


@blueprint.post("/devices/<uuid:device_id>/approve")
@operation(
    "Let in a device that waits, or switch to its token that waits",
    {200: answers.Device},
    right=Right.OPERATE,
    query=wire_identity.ApproveQuery,
    refusals=(409, 410),
)
def approve(device_id: uuid.UUID) -> Response:
    """A device that changes its token so begins anew: its progress through updates is forgotten."""
    here, now, query = context(), context().clock(), body.read_query(wire_identity.ApproveQuery)
    row = enrollment.approve(here.db, str(device_id), query.fingerprint, who(), now)
    return answers.respond(devices.answer(row, now))


@blueprint.delete("/devices/<uuid:device_id>/reenrollment")
@operation("Forget the token that waits for approval", {204: NOTHING}, right=Right.OPERATE)
def dismiss(device_id: uuid.UUID) -> Response:
    """The device stays with the token that it has."""
    here = context()
    enrollment.dismiss(here.db, str(device_id), who(), here.clock())
    return Response(status=204)


@blueprint.post("/devices/<uuid:device_id>/rotate-token")
@operation("Have the device make itself a new token", {200: answers.Device}, right=Right.OPERATE, refusals=(409,))
def ask_rotation(device_id: uuid.UUID) -> Response:
    """The device is told so with its next heartbeat."""
    here, now = context(), context().clock()
    row = rotation.ask(here.db, str(device_id), who(), now)
    return answers.respond(devices.answer(row, now))


@blueprint.post("/devices/<uuid:device_id>/token")
@operation(
    "Tell the device's next token; the old one is good until the new one is first used",
    {200: answers_identity.TokenTaken},
    asks=Asks.DEVICE,
    body=wire_identity.TokenRotation,
)
def rotate(device_id: uuid.UUID) -> Response:
    """Again with the same token does no harm."""
    device_by_bearer(device_id)
    here, given = context(), body.read(wire_identity.TokenRotation)
    rotation.take(here.db, str(device_id), given.token_sha256, here.clock())
    taken = answers_identity.TokenTaken(id=str(device_id), fingerprint=identity.fingerprint(given.token_sha256))
    return answers.respond(taken)
