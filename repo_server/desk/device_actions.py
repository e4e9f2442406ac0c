"""What can be done to a device: each asked first, and done and audited by what the API calls."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, request
from pydantic import ValidationError

from repo_server import changes, enrollment, privacy, rotation, steering, wire
from repo_server.auth import who
from repo_server.body import sentence
from repo_server.context import context
from repo_server.desk import page
from repo_server.desk.page import Action, Done
from repo_server.errors import ConflictError, InvalidError
from repo_server.roles import Right
from repo_server.store import device_history, identity

blueprint = Blueprint("desk_device_actions", __name__)
_BOTH = ["GET", "POST"]


def _device(device_id: uuid.UUID) -> tuple[Any, str, str]:
    """Its row, what people call it, and its page. Raises ``NotFoundError``."""
    row = enrollment.device(context().db.connection(), str(device_id))
    return row, row["name"] or row["hostname"], f"/devices/{device_id}"


def _change(device_id: uuid.UUID, **given: str | None) -> None:
    """Raises ``InvalidError``, ``NotFoundError``, ``GoneError``."""
    here = context()
    try:
        wanted = wire.DeviceChange(**given)  # type: ignore[arg-type]  # that is what it looks at
    except ValidationError as error:
        raise InvalidError(sentence(error)) from None
    changes.change_device(here.db, str(device_id), wanted, who(), here.clock())


def _typed(name: str) -> str | None:
    return request.form.get(name, "").strip() or None


@blueprint.route("/devices/<uuid:device_id>/hold", methods=_BOTH)
@page.action(Right.OPERATE)
def hold(device_id: uuid.UUID) -> Action:
    """Nothing is installed until it is released."""
    row, name, back = _device(device_id)

    def do() -> Done:
        words = _typed("hold")
        if words is None:
            raise InvalidError("say why: whoever finds the device held reads it, and so does the device's status")
        _change(device_id, hold=words)
        return Done(f"{name} is held", back)

    return Action(
        f"Hold {name}",
        ("It installs nothing from its next heartbeat on, until it is released. What it has begun, it finishes.",),
        "Hold",
        back,
        do,
        fields="desk/device_hold.html",
        values={"hold": row["hold"] or ""},
    )


@blueprint.route("/devices/<uuid:device_id>/release", methods=_BOTH)
@page.action(Right.OPERATE)
def release(device_id: uuid.UUID) -> Action:
    """End the hold."""
    _, name, back = _device(device_id)

    def do() -> Done:
        _change(device_id, hold=None)
        return Done(f"{name} is no longer held", back)

    sentences = ("It is offered what waits for it with its next heartbeat, and installs it when its gate says so.",)
    return Action(f"Release {name}", sentences, "Release", back, do)


@blueprint.route("/devices/<uuid:device_id>/channel", methods=_BOTH)
@page.action(Right.OPERATE)
def channel(device_id: uuid.UUID) -> Action:
    """Its name, group, channel and time zone."""
    row, name, back = _device(device_id)

    def do() -> Done:
        _change(
            device_id,
            name=_typed("name"),
            group=_typed("group"),
            channel=_typed("channel") or "",
            timezone=_typed("timezone"),
        )
        return Done(f"{_typed('name') or row['hostname']} is changed", back)

    values = {
        "name": row["name"] or "",
        "group": row["group_name"] or "",
        "channel": row["channel"],
        "timezone": row["timezone_override"] or "",
        "own_timezone": row["timezone"],
    }
    sentences = ("A channel decides which releases it gets, a group which wave it is in, a zone when its night is.",)
    return Action(f"Change {name}", sentences, "Change", back, do, fields="desk/device_fields.html", values=values)


@blueprint.route("/devices/<uuid:device_id>/expedite", methods=_BOTH)
@page.action(Right.OPERATE)
def expedite(device_id: uuid.UUID) -> Action:
    """Its newest update does not wait for its wave, and may be tried once more."""
    row, name, back = _device(device_id)
    found = device_history.can_be_expedited(context().db.connection(), row)
    what = f"{found['name']} {found['version']}" if found is not None else "no update"

    def do() -> Done:
        if found is None:
            raise ConflictError("there is no update for this device that it does not run already")
        here = context()
        steering.expedite_device(here.db, found["update_id"], str(device_id), who(), here.clock())
        return Done(f"{name} is expedited to {what}", back)

    sentences = (
        f"{name} gets {what} without waiting for its wave, and tries it once more if it has failed there.",
        "Its own gate still decides when: nobody is interrupted. No pause, halt or hold is opened by this.",
    )
    return Action(f"Expedite {name}", sentences, "Expedite", back, do)


@blueprint.route("/devices/<uuid:device_id>/approve", methods=_BOTH)
@page.action(Right.OPERATE)
def approve(device_id: uuid.UUID) -> Action:
    """Let it in, or let it change its token."""
    row, name, back = _device(device_id)
    waits = row["pending_token_sha256"]
    fingerprint = identity.fingerprint(waits) if waits is not None else None

    def do() -> Done:
        here = context()
        seen = _typed("fingerprint")
        enrollment.approve(here.db, str(device_id), seen, who(), here.clock())
        return Done(f"{name} is let in", back)

    sentences = (
        (
            f"A machine that says it is {name} asks for a new token, with the fingerprint {fingerprint}.",
            "Approve it where somebody has set this device up anew. Its token ends, and its progress begins anew.",
        )
        if fingerprint is not None
        else (f"{name} is offered releases from its next heartbeat on.",)
    )
    values = {"fingerprint": fingerprint or ""}
    return Action(f"Approve {name}", sentences, "Approve", back, do, fields="desk/device_approve.html", values=values)


@blueprint.route("/devices/<uuid:device_id>/dismiss", methods=_BOTH)
@page.action(Right.OPERATE)
def dismiss(device_id: uuid.UUID) -> Action:
    """Forget the token that waits."""
    _, name, back = _device(device_id)
    do = _calling(enrollment.dismiss, device_id, Done(f"{name} stays with its token", back))
    sentences = ("Whoever asked for a new token is turned away; the device keeps the one it has.",)
    return Action(f"Dismiss the new token of {name}", sentences, "Dismiss", back, do)


@blueprint.route("/devices/<uuid:device_id>/not-cloned", methods=_BOTH)
@page.action(Right.OPERATE)
def not_cloned(device_id: uuid.UUID) -> Action:
    """Clear the suspicion that two machines are it."""
    _, name, back = _device(device_id)

    def do() -> Done:
        _change(device_id, cloned_suspected_at=None)
        return Done(f"{name} is taken for one machine", back)

    sentences = ("Clear it once the copy is gone or has an identity of its own. It comes back if both go on.",)
    return Action(f"{name} is one machine", sentences, "Clear the suspicion", back, do)


@blueprint.route("/devices/<uuid:device_id>/rotate", methods=_BOTH)
@page.action(Right.OPERATE)
def rotate(device_id: uuid.UUID) -> Action:
    """Have it make itself a new token."""
    _, name, back = _device(device_id)
    do = _calling(rotation.ask, device_id, Done(f"{name} is asked for a new token", back))
    sentences = ("It makes itself a new token with its next heartbeat; the old one is good until the new one is used.",)
    return Action(f"New token for {name}", sentences, "Ask for it", back, do)


@blueprint.route("/devices/<uuid:device_id>/retire", methods=_BOTH)
@page.action(Right.OPERATE)
def retire(device_id: uuid.UUID) -> Action:
    """It is never served again."""
    _, name, back = _device(device_id)

    def do() -> Done:
        here = context()
        enrollment.decommission(here.db, str(device_id), who(), here.clock())
        if "erase" in request.form:
            privacy.erase(here.db, str(device_id), who(), here.clock())
        return Done(f"{name} is retired", back)

    sentences = (
        "Its token ends at once: it gets no release and no repository any more. The assistant on it runs on as it is.",
        "This cannot be taken back; to come back, the device has to be enrolled anew under a new id.",
    )
    return Action(
        f"Retire {name}", sentences, "Retire", back, do, danger=True, fields="desk/device_retire.html", values={}
    )


def _calling(what: Callable[..., object], device_id: uuid.UUID, done: Done) -> Callable[[], Done]:
    def do() -> Done:
        here = context()
        what(here.db, str(device_id), who(), here.clock())
        return done

    return do
