"""Signing in and out: an API key is exchanged for a cookie."""

from __future__ import annotations

from flask import Blueprint, Response

from repo_server import answers, answers_identity, auth, session_cookie, sessions
from repo_server.context import context
from repo_server.operations import NOTHING, Asks, operation
from repo_server.session_life import ends_at
from repo_server.store.sessions import Session

blueprint = Blueprint("session", __name__)


@blueprint.post("/session")
@operation(
    "Sign in: exchange an API key for a session",
    {201: answers_identity.Session},
    asks=Asks.KEY_ITSELF,
    refusals=(403,),
    gives=("Set-Cookie",),
)
def begin() -> Response:
    """The key itself is asked for: a session that begot the next one would never end."""
    here, now = context(), context().clock()
    key = auth.api_key()
    session_cookie.check_protected()
    made, secret = sessions.begin(here.db, key, now)
    response = _told(made, secret, 201)
    remaining = ends_at(made.times, here.settings.session_life) - now
    session_cookie.give(response, secret, int(remaining.total_seconds()))
    return response


@blueprint.get("/session")
@operation("Who has signed in", {200: answers_identity.Session}, asks=Asks.SESSION)
def signed_in() -> Response:
    """For a page that was opened anew."""
    return _told(*auth.session(), 200)


@blueprint.delete("/session")
@operation("Sign out", {204: NOTHING}, asks=Asks.SESSION, refusals=(403,), gives=("Set-Cookie",))
def end() -> Response:
    """The cookie is worthless from now on, also to who has copied it."""
    here = context()
    found, _ = auth.session(use=False)
    sessions.end(here.db, found, here.clock())
    response = Response(status=204)
    session_cookie.take_back(response)
    return response


def _told(session: Session, secret: str, status: int) -> Response:
    life = context().settings.session_life
    told = answers_identity.Session(
        name=session.key.name,
        role=session.key.role,
        created_at=session.times.created_at,
        expires_at=ends_at(session.times, life),
        idle_seconds=int(life.idle.total_seconds()),
        csrf_token=session_cookie.csrf_token(secret),
    )
    response = answers.respond(told, status)
    response.headers["Cache-Control"] = "no-store"
    return response
