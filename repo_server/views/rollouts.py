"""Rollouts: planned for viewers, steered by operators."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import answers, body, steering, wire
from repo_server.auth import who
from repo_server.context import context
from repo_server.errors import NotFoundError
from repo_server.operations import operation
from repo_server.roles import Right
from repo_server.rollout_answers import Plan
from repo_server.store import spread

blueprint = Blueprint("rollouts", __name__)


@blueprint.get("/updates/<uuid:update_id>/plan")
@operation("Who gets it when", {200: Plan}, right=Right.VIEW, query=wire.PlanQuery)
def plan(update_id: uuid.UUID) -> Response:
    """A summary of the waves, and one page of devices."""
    here = context()
    found = spread.planned(here.db.connection(), str(update_id), body.read_query(wire.PlanQuery), here.clock())
    if found is None:
        raise NotFoundError(steering.MISSING)
    return answers.respond(found)


@blueprint.patch("/updates/<uuid:update_id>")
@operation(
    "Other waves, another failure limit",
    {200: answers.Update},
    right=Right.OPERATE,
    body=wire.UpdateChange,
    refusals=(409,),
)
def change(update_id: uuid.UUID) -> Response:
    """What is left out stays; waves that are open cannot change."""
    here, given = context(), body.read(wire.UpdateChange)
    return answers.respond(steering.change(here.db, str(update_id), given, who(), here.clock()))


@blueprint.post("/updates/<uuid:update_id>/pause")
@operation("Pause: devices that have not started wait", {200: answers.Update}, right=Right.OPERATE, refusals=(409,))
def pause(update_id: uuid.UUID) -> Response:
    """They hear of it with their next heartbeat. The time until it is resumed is no dwell time."""
    here = context()
    return answers.respond(steering.pause(here.db, str(update_id), who(), here.clock()))


@blueprint.post("/updates/<uuid:update_id>/resume")
@operation("Begin, or go on after a pause or a halt", {200: answers.Update}, right=Right.OPERATE, refusals=(409,))
def resume(update_id: uuid.UUID) -> Response:
    """After a halt only new failures count."""
    here = context()
    return answers.respond(steering.resume(here.db, str(update_id), who(), here.clock()))


@blueprint.post("/updates/<uuid:update_id>/halt")
@operation("Halt: stop because something is wrong", {200: answers.Update}, right=Right.OPERATE, refusals=(409,))
def halt(update_id: uuid.UUID) -> Response:
    """As a pause, and it cannot be paused any more; only resuming ends it."""
    here = context()
    return answers.respond(steering.halt(here.db, str(update_id), who(), here.clock()))


@blueprint.post("/updates/<uuid:update_id>/withdraw")
@operation("Take it back for good", {200: answers.Update}, right=Right.WITHDRAW)
def withdraw(update_id: uuid.UUID) -> Response:
    """Nobody who has not started gets it any more."""
    here = context()
    return answers.respond(steering.withdraw(here.db, str(update_id), who(), here.clock()))


@blueprint.post("/updates/<uuid:update_id>/expedite")
@operation("Skip the waves, forgive failures", {200: answers.Update}, right=Right.OPERATE, refusals=(409,))
def expedite(update_id: uuid.UUID) -> Response:
    """Waves no longer count, and who failed may try once more."""
    here = context()
    return answers.respond(steering.expedite(here.db, str(update_id), who(), here.clock()))


@blueprint.post("/updates/<uuid:update_id>/devices/<uuid:device_id>/expedite")
@operation(
    "Skip the waves for one device, forgive its failure",
    {200: answers.DeviceUpdate},
    right=Right.OPERATE,
    refusals=(409,),
)
def expedite_device(update_id: uuid.UUID, device_id: uuid.UUID) -> Response:
    """It opens no pause, halt or hold, and not the device's own gate."""
    here = context()
    return answers.respond(steering.expedite_device(here.db, str(update_id), str(device_id), who(), here.clock()))
