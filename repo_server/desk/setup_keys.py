"""API keys, for admins; and one's own sessions, for everybody who sees the desk."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, Response, g, request

from repo_server import administration, body, session_cookie, sessions, wire, wire_identity
from repo_server.answers_identity import ApiKey
from repo_server.auth import who
from repo_server.context import context
from repo_server.desk import addresses, lifetimes, page
from repo_server.desk.forms import NOTHING_MADE, filled, typed
from repo_server.desk.page import Action, doing
from repo_server.desk.problems import placed, sentence, validated
from repo_server.errors import InvalidError, NotFoundError
from repo_server.roles import Right, Role
from repo_server.session_life import ends_at
from repo_server.store import credentials
from repo_server.store import sessions as session_store
from repo_server.store.sessions import Session

blueprint = Blueprint("desk_setup_keys", __name__)
PAGE = "/setup/keys"
SESSIONS = "/setup/sessions"
ROLES = {
    Role.VIEWER: "sees devices, updates and events",
    Role.OPERATOR: "also steers: holds, waves, pauses, approves devices",
    Role.BUILDER: "announces and withdraws releases; sees no homes",
    Role.ADMIN: "does everything, also keys, tokens and this log of changes",
}


@blueprint.get(PAGE)
@page.page(Right.ADMINISTER)
def show() -> Response:
    """The keys, the newest first."""
    here, now = context(), context().clock()
    query = body.read_query(wire.PageQuery)
    connection = here.db.connection()
    found = credentials.list_api_keys(connection, query, newest_first=True)
    used = session_store.last_used(connection, [one.id for one in found.items])
    return page.render(
        "setup_keys.html",
        keys=[(one, lifetimes.of_key(one, now), used.get(one.id)) for one in found.items],
        next_page=addresses.build(PAGE, {"cursor": found.next_cursor}) if found.next_cursor else None,
        first_page=PAGE if query.cursor else None,
    )


@blueprint.route(f"{PAGE}/new", methods=page.BOTH)
@page.action(Right.ADMINISTER)
def create() -> Action:
    """A key; its secret is in this answer and nowhere else."""
    problems: dict[str, str] = {}
    return Action(
        "New API key",
        ("A key is for one person or one program. Its secret is shown once.",),
        "Make the key",
        PAGE,
        lambda: _create(problems),
        fields="desk/setup_key_fields.html",
        values={
            "problems": problems,
            "roles": [(str(role), f"{role}: {words}") for role, words in ROLES.items()],
            "defaults": {"role": str(Role.VIEWER), "expires": "90d"},
        },
    )


@blueprint.route(f"{PAGE}/<uuid:key_id>/revoke", methods=page.BOTH)
@page.action(Right.ADMINISTER)
def revoke(key_id: uuid.UUID) -> Action:
    """It is good for nothing from then on."""
    here = context()
    row = credentials.find(here.db.connection(), credentials.API_KEYS, str(key_id))
    if row is None:
        raise NotFoundError("there is no such API key")
    key = ApiKey(**credentials.api_key_values(row))

    def revoke_it() -> None:
        administration.revoke_api_key(here.db, key.id, who(), here.clock())

    sentences = [f"It is a key of the role {key.role}. Who uses it is refused from the next request on."]
    sentences.append(
        "You have signed in with this key: you will be signed out."
        if key.id == g.desk_key.id
        else "Browsers that have signed in with it are signed out."
    )
    do = doing(revoke_it, f"“{key.name}” is revoked.", PAGE)
    return Action(f"Revoke “{key.name}”?", tuple(sentences), "Revoke", PAGE, do, danger=True)


@blueprint.get(SESSIONS)
@page.page(Right.VIEW)
def own_sessions() -> Response:
    """Where one has signed in with the key of this session."""
    life = context().settings.session_life
    return page.render(
        "setup_sessions.html",
        sessions=[(one, ends_at(one.times, life), one.id == _this_session()) for one in _own()],
        idle=life.idle,
    )


@blueprint.route(f"{SESSIONS}/<uuid:session_id>/end", methods=page.BOTH)
@page.action(Right.VIEW)
def end_session(session_id: uuid.UUID) -> Action:
    """Sign out somewhere else."""
    here = context()
    found = next((one for one in _own() if one.id == str(session_id)), None)
    if found is None:
        raise NotFoundError("there is no such session of your key, or it has ended")

    do = doing(lambda: sessions.end(here.db, found, here.clock()), "The session has ended.", SESSIONS)
    words = "Whoever uses it has to sign in again."
    if found.id == _this_session():
        words = "It is the session of this browser: you will be signed out."
    return Action("End this session?", (words,), "End it", SESSIONS, do, danger=True)


def _create(problems: dict[str, str]) -> Response:
    here, now = context(), context().clock()
    asked = filled("name", "role")
    try:
        asked["expires_at"] = lifetimes.until(typed("expires"), now)
    except ValueError as error:
        problems["expires"] = sentence(str(error))
    given, wrong = validated(wire_identity.ApiKeyRequest, asked)
    problems.update(wrong)
    if given is None or problems:
        raise InvalidError(NOTHING_MADE)
    try:
        made = administration.create_api_key(here.db, given, who(), now)
    except InvalidError as error:
        problems["expires"] = placed(error, ("expires_at",)).get("expires_at", str(error))
        raise InvalidError(NOTHING_MADE) from error
    return page.render(
        "setup_new_key.html", HTTPStatus.CREATED, key=made, server=request.root_url.rstrip("/"), may_do=ROLES[made.role]
    )


def _own() -> list[Session]:
    here = context()
    return sessions.of_key(here.db, g.desk_key.id, here.settings.session_life, here.clock())


def _this_session() -> str | None:
    found = session_store.find(context().db.connection(), session_cookie.presented() or "")
    return found.id if found is not None else None
