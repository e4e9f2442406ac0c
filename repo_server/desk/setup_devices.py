"""Enrollment tokens, and what a Pi needs to come to this server with one."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, Response, request

from repo_server import administration, body, freshness, onboarding, wire
from repo_server.answers_identity import EnrollmentToken, NewEnrollmentToken
from repo_server.auth import who
from repo_server.context import context
from repo_server.desk import addresses, lifetimes, page, qr
from repo_server.desk.forms import NOTHING_MADE, filled, typed
from repo_server.desk.new_pi import DEBIAN_RELEASES, DEFAULT_CHANNEL, FILE, KEYRING, SETTINGS, SOURCE, NewPi, PiRequest
from repo_server.desk.page import Action, Done, doing
from repo_server.desk.problems import number, placed, sentence, validated
from repo_server.errors import InvalidError, NotFoundError
from repo_server.roles import Right
from repo_server.store import credentials, updates
from repo_server.wire_identity import EnrollmentTokenRequest

blueprint = Blueprint("desk_setup_devices", __name__)
PAGE = "/setup/devices"
_EXAMPLE = "sample-assistant"
_RECOVERY = (
    "After a restore from an older backup this server does not know the devices that registered since.",
    "While a recovery is open they may ask for approval with the token that each has itself. There is no secret.",
    "Anyone can ask meanwhile, and nobody gets anything before an operator approves it. Revoke it when all are back.",
)
_TEXTS = ("name", "group", "channel")
_PI = ("server", "assistant", "debian", "gpio_pins", "timezone")


@blueprint.get(PAGE)
@page.page(Right.ADMINISTER)
def show() -> Response:
    """The tokens, the newest first."""
    here, now = context(), context().clock()
    query = body.read_query(wire.PageQuery)
    found = credentials.list_enrollment_tokens(here.db.connection(), query, newest_first=True)
    names = updates.names(here.db.connection())
    values = {"server": request.root_url, "assistant": names[0] if names else _EXAMPLE}
    asked, _ = validated(PiRequest, values)
    example = NewPi(asked, DEFAULT_CHANNEL, "TOKEN") if asked is not None else None
    return page.render(
        "setup_devices.html",
        tokens=[(one, lifetimes.of_token(one, now), lifetimes.uses_left(one)) for one in found.items],
        next_page=addresses.build(PAGE, {"cursor": found.next_cursor}) if found.next_cursor else None,
        first_page=PAGE if query.cursor else None,
        all_wait=here.settings.approve_devices,
        example=example if example is not None and example.takes_line else None,
    )


@blueprint.route(f"{PAGE}/new", methods=page.BOTH)
@page.action(Right.ADMINISTER)
def create() -> Action:
    """A token, and with it what goes on a Pi; the secret is in this answer and nowhere else."""
    problems: dict[str, str] = {}
    here = context()
    published = list(freshness.suites(here.settings.repository))
    releases = [*DEBIAN_RELEASES, *(one.debian for one in published if one.debian)]
    assistants = updates.names(here.db.connection())
    return Action(
        "New enrollment token",
        ("Devices register with an enrollment token. Its secret is shown once, with the lines and the file for a Pi.",),
        "Make the token",
        PAGE,
        lambda: _create(problems),
        fields="desk/setup_token_fields.html",
        values={
            "problems": problems,
            "defaults": {
                "name": "devices",
                "expires": "7d",
                "server": request.root_url.rstrip("/"),
                "assistant": assistants[0] if assistants else "",
                "debian": DEBIAN_RELEASES[0],
            },
            "assistants": assistants,
            "channels": sorted({DEFAULT_CHANNEL, *(one.channel for one in published)}),
            "releases": [(one, one) for one in dict.fromkeys(releases)],
            "all_wait": here.settings.approve_devices,
        },
    )


@blueprint.route(f"{PAGE}/recovery", methods=page.BOTH)
@page.action(Right.ADMINISTER)
def recover() -> Action:
    """After a restore: a token that nobody presents."""
    problems: dict[str, str] = {}

    def do() -> Done:
        asked = _checked({**filled("name"), "recovery": True}, problems)
        if asked is None:
            raise InvalidError(NOTHING_MADE)
        made = _make(asked, problems)
        return Done(f"“{made.name}” is open: devices that are not known here may ask for approval.", PAGE)

    return Action(
        "Let devices back in",
        _RECOVERY,
        "Open the recovery",
        PAGE,
        do,
        fields="desk/setup_recovery_fields.html",
        values={"problems": problems, "defaults": {"name": "recovery", "uses": "50", "expires": "7d"}},
    )


@blueprint.route(f"{PAGE}/<uuid:token_id>/revoke", methods=page.BOTH)
@page.action(Right.ADMINISTER)
def revoke(token_id: uuid.UUID) -> Action:
    """Nobody registers with it any more."""
    here = context()
    row = credentials.find(here.db.connection(), credentials.ENROLLMENT_TOKENS, str(token_id))
    if row is None:
        raise NotFoundError("there is no such enrollment token")
    token = EnrollmentToken(**credentials.enrollment_token_values(row))

    def revoke_it() -> None:
        administration.revoke_enrollment_token(here.db, token.id, who(), here.clock())

    after = (
        "Devices that have not asked yet cannot come back with it. Those that wait go on waiting for approval."
        if token.recovery
        else "No further device registers with it. Devices that are registered stay so."
    )
    do = doing(revoke_it, f"“{token.name}” is revoked.", PAGE)
    return Action(f"Revoke “{token.name}”?", (after,), "Revoke", PAGE, do, danger=True)


def _create(problems: dict[str, str]) -> Response:
    asked_pi, wrong = validated(PiRequest, filled(*_PI))
    problems.update(wrong)
    asked = _checked({**filled(*_TEXTS), "approval": "approval" in request.form}, problems)
    if asked is None or asked_pi is None:
        raise InvalidError(NOTHING_MADE)
    made = _make(asked, problems)
    pi = NewPi(asked_pi, made.channel or DEFAULT_CHANNEL, made.secret or "")
    return page.render(
        "setup_new_pi.html",
        HTTPStatus.CREATED,
        token=made,
        pi=pi,
        missing=onboarding.missing(context().settings.repository, pi.request.debian, pi.channel),
        code=qr.svg(pi.settings()),
        file=FILE,
        settings=SETTINGS,
        source=SOURCE,
        keyring=KEYRING,
    )


def _checked(asked: dict[str, object], problems: dict[str, str]) -> EnrollmentTokenRequest | None:
    """What is asked for, with uses and end as they were typed; None where something is wrong, which goes by field."""
    if typed("uses"):
        asked["uses"] = number(typed("uses"))
    try:
        asked["expires_at"] = lifetimes.until(typed("expires"), context().clock())
    except ValueError as error:
        problems["expires"] = sentence(str(error))
    given, wrong = validated(EnrollmentTokenRequest, asked)
    problems.update(wrong)
    return None if problems else given


def _make(asked: EnrollmentTokenRequest, problems: dict[str, str]) -> NewEnrollmentToken:
    """Raises ``InvalidError``; what is wrong goes by field."""
    here = context()
    try:
        return administration.create_enrollment_token(here.db, asked, who(), here.clock())
    except InvalidError as error:
        found = placed(error, ("uses", "expires_at"))
        problems.update({{"expires_at": "expires"}.get(name, name): words for name, words in found.items()})
        raise InvalidError(NOTHING_MADE) from error
