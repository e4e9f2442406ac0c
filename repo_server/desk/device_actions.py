"""What can be done to a device: each asked first, and done and audited by what the API calls."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, request
from pydantic import ValidationError

from repo_server import changes, enrollment, offers, privacy, rotation, steering, wire
from repo_server.auth import who
from repo_server.body import sentence
from repo_server.context import context
from repo_server.desk import page
from repo_server.desk.forms import typed
from repo_server.desk.page import Action, Done, doing
from repo_server.errors import ConflictError, InvalidError
from repo_server.grant import update_to_expedite
from repo_server.roles import Right
from repo_server.store import identity

blueprint = Blueprint("desk_device_actions", __name__)


@dataclass(frozen=True, slots=True)
class _Device:
    id: str
    row: sqlite3.Row
    name: str
    """What people call it."""
    page: str

    def doing(self, what: Callable[..., object], words: str) -> Callable[[], Done]:
        """``what`` as operators' actions on devices are called; ``words`` follow the name."""
        here = context()
        return doing(lambda: what(here.db, self.id, who(), here.clock()), f"{self.name} {words}", self.page)

    def changing(self, words: str, **given: str | None) -> Callable[[], Done]:
        """To set these; the action raises ``InvalidError``, ``GoneError``."""
        return doing(lambda: self.change(**given), f"{self.name} {words}", self.page)

    def change(self, **given: str | None) -> None:
        """Raises ``InvalidError``, which names the field, and ``GoneError``."""
        here = context()
        try:
            wanted = wire.DeviceChange(**given)  # type: ignore[arg-type]  # that is what it looks at
        except ValidationError as error:
            raise InvalidError(sentence(error)) from None
        changes.change_device(here.db, self.id, wanted, who(), here.clock())


def _device(device_id: uuid.UUID) -> _Device:
    """Raises ``NotFoundError``."""
    row = enrollment.device(context().db.connection(), str(device_id))
    return _Device(str(device_id), row, row["name"] or row["hostname"], f"/devices/{device_id}")


@blueprint.route("/devices/<uuid:device_id>/hold", methods=page.BOTH)
@page.action(Right.OPERATE)
def hold(device_id: uuid.UUID) -> Action:
    """Nothing is installed until it is released."""
    device = _device(device_id)

    def hold_it() -> None:
        if not typed("hold"):
            raise InvalidError("say why: whoever finds the device held reads it, and so does the device's status")
        device.change(hold=typed("hold"))

    return Action(
        f"Hold {device.name}",
        ("It installs nothing from its next heartbeat on, until it is released. What it has begun, it finishes.",),
        "Hold",
        device.page,
        doing(hold_it, f"{device.name} is held", device.page),
        fields="desk/device_hold.html",
        values={"hold": device.row["hold"] or ""},
    )


@blueprint.route("/devices/<uuid:device_id>/release", methods=page.BOTH)
@page.action(Right.OPERATE)
def release(device_id: uuid.UUID) -> Action:
    """End the hold."""
    device = _device(device_id)
    sentences = ("It is offered what waits for it with its next heartbeat, and installs it when its gate says so.",)
    do = device.changing("is no longer held", hold=None)
    return Action(f"Release {device.name}", sentences, "Release", device.page, do)


@blueprint.route("/devices/<uuid:device_id>/channel", methods=page.BOTH)
@page.action(Right.OPERATE)
def channel(device_id: uuid.UUID) -> Action:
    """Its name, group, channel and time zone."""
    device = _device(device_id)
    row = device.row

    def do() -> Done:
        device.change(
            name=typed("name") or None,
            group=typed("group") or None,
            channel=typed("channel"),
            timezone=typed("timezone") or None,
        )
        return Done(f"{typed('name') or row['hostname']} is changed", device.page)

    values = {
        "name": row["name"],
        "group": row["group_name"],
        "channel": row["channel"],
        "timezone": row["timezone_override"],
        "own_timezone": row["timezone"],
    }
    sentences = ("A channel decides which releases it gets, a group which wave it is in, a zone when its night is.",)
    fields = "desk/device_fields.html"
    return Action(f"Change {device.name}", sentences, "Change", device.page, do, fields=fields, values=values)


@blueprint.route("/devices/<uuid:device_id>/expedite", methods=page.BOTH)
@page.action(Right.OPERATE)
def expedite(device_id: uuid.UUID) -> Action:
    """Its update does not wait for its wave, and may be tried once more."""
    device, here = _device(device_id), context()
    update = update_to_expedite(offers.decision(here.db.connection(), device.row, here.clock()))
    what = f"{update.name} {update.version}" if update is not None else "its update"

    def expedite_it() -> None:
        if update is None:
            raise ConflictError(
                "neither a wave nor a failure keeps an update from this device; its page says what does"
            )
        steering.expedite_device(here.db, update.id, device.id, who(), here.clock())

    sentences = (
        f"{device.name} gets {what} without waiting for its wave, and tries it once more if it has failed there.",
        "Its own gate still decides when: nobody is interrupted. No pause, halt or hold is opened by this.",
    )
    do = doing(expedite_it, f"{device.name} is expedited to {what}", device.page)
    return Action(f"Expedite {device.name}", sentences, "Expedite", device.page, do)


@blueprint.route("/devices/<uuid:device_id>/approve", methods=page.BOTH)
@page.action(Right.OPERATE)
def approve(device_id: uuid.UUID) -> Action:
    """Let it in, or let it change its token."""
    device, here = _device(device_id), context()
    waits = device.row["pending_token_sha256"]
    fingerprint = identity.fingerprint(waits) if waits is not None else None

    def approve_it() -> None:
        enrollment.approve(here.db, device.id, typed("fingerprint") or None, who(), here.clock())

    sentences = (
        (
            f"A machine that says it is {device.name} asks for a new token, with the fingerprint {fingerprint}.",
            "Approve it where somebody has set this device up anew. Its token ends, and its progress begins anew.",
        )
        if fingerprint is not None
        else (f"{device.name} is offered releases from its next heartbeat on.",)
    )
    return Action(
        f"Approve {device.name}",
        sentences,
        "Approve",
        device.page,
        doing(approve_it, f"{device.name} is let in", device.page),
        fields="desk/device_approve.html",
        values={"fingerprint": fingerprint or ""},
    )


@blueprint.route("/devices/<uuid:device_id>/dismiss", methods=page.BOTH)
@page.action(Right.OPERATE)
def dismiss(device_id: uuid.UUID) -> Action:
    """Forget the token that waits."""
    device = _device(device_id)
    sentences = ("Whoever asked for a new token is turned away; the device keeps the one it has.",)
    do = device.doing(enrollment.dismiss, "stays with its token")
    return Action(f"Dismiss the new token of {device.name}", sentences, "Dismiss", device.page, do)


@blueprint.route("/devices/<uuid:device_id>/not-cloned", methods=page.BOTH)
@page.action(Right.OPERATE)
def not_cloned(device_id: uuid.UUID) -> Action:
    """Clear the suspicion that two machines are it."""
    device = _device(device_id)
    sentences = ("Clear it once the copy is gone or has an identity of its own. It comes back if both go on.",)
    do = device.changing("is taken for one machine", cloned_suspected_at=None)
    return Action(f"{device.name} is one machine", sentences, "Clear the suspicion", device.page, do)


@blueprint.route("/devices/<uuid:device_id>/rotate", methods=page.BOTH)
@page.action(Right.OPERATE)
def rotate(device_id: uuid.UUID) -> Action:
    """Have it make itself a new token."""
    device = _device(device_id)
    sentences = ("It makes itself a new token with its next heartbeat; the old one is good until the new one is used.",)
    do = device.doing(rotation.ask, "is asked for a new token")
    return Action(f"New token for {device.name}", sentences, "Ask for it", device.page, do)


@blueprint.route("/devices/<uuid:device_id>/retire", methods=page.BOTH)
@page.action(Right.OPERATE)
def retire(device_id: uuid.UUID) -> Action:
    """It is never served again."""
    device, here = _device(device_id), context()

    def retire_it() -> None:
        enrollment.decommission(here.db, device.id, who(), here.clock())
        if "erase" in request.form:
            privacy.erase(here.db, device.id, who(), here.clock())

    sentences = (
        "Its token ends at once: it gets no release and no repository any more. The assistant on it runs on as it is.",
        "This cannot be taken back; to come back, the device has to be enrolled anew under a new id.",
    )
    do = doing(retire_it, f"{device.name} is retired", device.page)
    fields = "desk/device_retire.html"
    return Action(f"Retire {device.name}", sentences, "Retire", device.page, do, danger=True, fields=fields)
