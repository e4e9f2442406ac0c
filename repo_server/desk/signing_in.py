"""Signing in with an API key, and out."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request

from repo_server import auth, session_cookie, sessions
from repo_server.context import context
from repo_server.desk import page
from repo_server.errors import ForbiddenError, UnauthorizedError
from repo_server.roles import Right, allows
from repo_server.session_life import ends_at

blueprint = Blueprint("desk_signing_in", __name__)


@blueprint.route(page.SIGN_IN, methods=page.BOTH)
def sign_in() -> Response:
    """Ask for a key, and exchange it for a session; the key stays out of the browser."""
    if request.method != "POST":
        problem = None
        try:
            session_cookie.check_protected()
        except ForbiddenError as error:
            problem = str(error)
        elsewhere = own_address(request.args.get("next"))
        return page.render("sign_in.html", next=elsewhere, problem=problem, ended="ended" in request.args)
    session_cookie.check_own_origin()
    session_cookie.check_protected()
    here, now = context(), context().clock()
    secret = request.form.get("key", "").strip()
    if not secret:
        raise UnauthorizedError("type an API key; `repo-server api-key create` makes one", "ApiKey")
    key = auth.key_of(secret)
    made, secret = sessions.begin(here.db, key, now)
    to = own_address(request.form.get("next"))
    if to == "/" and not allows(key.role, Right.VIEW):
        to = "/updates"  # all that a builder sees
    response: Response = redirect(to, HTTPStatus.SEE_OTHER)  # type: ignore[assignment]  # as in ``page.done``
    session_cookie.give(response, secret, int((ends_at(made.times, here.settings.session_life) - now).total_seconds()))
    return response


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """The cookie is worthless from now on, also to who has copied it."""
    page.enter(None, use=False)
    here = context()
    found, _ = auth.session(use=False, csrf_token=request.form.get(page.CSRF_FIELD, ""))
    sessions.end(here.db, found, here.clock())
    response = page.done(page.Done("You have signed out.", page.SIGN_IN))
    session_cookie.take_back(response)
    return response


def own_address(given: str | None) -> str:
    """A page of ours to go on with: nobody shall be sent elsewhere by a link to our sign-in page."""
    if not given or not given.startswith("/") or given.startswith(("//", page.SIGN_IN)) or "\\" in given:
        return "/"
    parts = urlsplit(given)
    return given if not parts.scheme and not parts.netloc and given.isprintable() else "/"
