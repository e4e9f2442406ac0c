"""What every page has: a session, the right to see it, headers that keep it to itself, and a form for its errors.

A page is a GET view under ``@page``; something that can be done is an ``Action`` under ``@action``, at one address: GET
tells what it will do and asks, POST does it. The pages call what the API calls, so both do the same, and both are
audited by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from typing import Any, ParamSpec
from urllib.parse import quote, unquote, urlencode

from flask import Blueprint, Flask, Response, g, redirect, render_template, request

from repo_server import auth, session_cookie
from repo_server.context import context
from repo_server.desk import assets
from repo_server.errors import ApiError
from repo_server.roles import Right, allows
from repo_server.store.credentials import ApiKey

_P = ParamSpec("_P")
RIGHT = "desk_right"
"""On a view: what it asks for."""
SIGN_IN = "/sign-in"
BOTH = ("GET", "POST")
"""What the address of an action takes."""
CSRF_FIELD = "csrf_token"
LIVE_HEADER = "X-Live"
"""With what a page's script asks by itself."""
DIALOG_HEADER = "X-Dialog"
"""With a form that was sent from a dialog."""
_NOTICE = "pi-ota-notice"
_NOTICE_SECONDS = 60
_LONGEST_NOTICE = 500
_YEAR = 31_536_000
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

blueprint = Blueprint(
    "desk", __name__, template_folder="templates", static_folder=assets.FOLDER, static_url_path=assets.ADDRESS
)


@dataclass(frozen=True, slots=True)
class Done:
    """It was done: what to tell, and the page to go on with."""

    words: str
    to: str


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done, once somebody has been asked."""

    title: str
    """A question or a heading: "Hold kitchen"."""
    sentences: tuple[str, ...]
    """What it will do, in consequences."""
    verb: str
    """On the button."""
    back: str
    """The page to go back to where it is not done."""
    do: Callable[[], Done | Response]
    """May raise ``ApiError``: the question is asked again then, with its sentence and what was typed."""
    danger: bool = False
    fields: str | None = None
    """A template with the form's fields; ``request.form`` holds what was typed before."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """For that template."""


def doing(work: Callable[[], object], words: str, to: str) -> Callable[[], Done]:
    """For ``Action.do``: to do it, and then tell ``words`` on the page ``to``."""

    def do() -> Done:
        work()
        return Done(words, to)

    return do


def page(right: Right) -> Callable[[Callable[_P, Response]], Callable[_P, Response]]:
    """A page for who has signed in with a key that may do ``right``; others are sent to sign in, or told."""

    def decorate(view: Callable[_P, Response]) -> Callable[_P, Response]:
        @wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> Response:
            again = _again()
            if again is not None:
                return again
            # What a page asks by itself is no use of the session, or one that is left open would never end.
            enter(right, use=LIVE_HEADER not in request.headers)
            return view(*args, **kwargs)

        setattr(guarded, RIGHT, right)
        return guarded

    return decorate


def action(right: Right) -> Callable[[Callable[_P, Action]], Callable[_P, Response]]:
    """An address at which something can be done by who may do ``right``."""

    def decorate(view: Callable[_P, Action]) -> Callable[_P, Response]:
        @wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> Response:
            again = _again()
            if again is not None:
                return again
            enter(right)
            asked = view(*args, **kwargs)
            if request.method != "POST":
                return _ask(asked)
            try:
                result = asked.do()
            except ApiError as error:
                return _ask(asked, error)
            return done(result) if isinstance(result, Done) else result

        setattr(guarded, RIGHT, right)
        return guarded

    return decorate


def enter(right: Right | None, *, use: bool = True) -> None:
    """Let in a session that may do ``right``; a POST has to bring its token. Raises as ``auth.session`` does."""
    found, secret = auth.session(use=use, csrf_token=request.form.get(CSRF_FIELD, ""))
    g.desk_key, g.desk_secret = found.key, secret
    if right is not None:
        auth.check_role(found.key, right)


def render(template: str, status: int = 200, **values: object) -> Response:
    """A page from a template in ``templates/desk``; beside ``values`` it has what ``_common`` gives to all."""
    notice = request.cookies.get(_NOTICE)
    response = Response(
        render_template(
            f"desk/{template}", **_common(), notice=unquote(notice) if notice else None, status=status, **values
        ),
        status,
        mimetype="text/html",
    )
    if notice:
        response.delete_cookie(_NOTICE, path="/")
    return response


def done(result: Done) -> Response:
    """Go on with a page, which tells once what was done."""
    response: Response
    if DIALOG_HEADER in request.headers:  # a script would follow a redirect by itself, and the notice be spent on it
        response = Response(status=HTTPStatus.NO_CONTENT, headers={"X-To": result.to})
    else:
        response = redirect(result.to, HTTPStatus.SEE_OTHER)  # type: ignore[assignment]  # it is made by Flask's class
    response.set_cookie(
        _NOTICE,
        quote(result.words[:_LONGEST_NOTICE]),
        max_age=_NOTICE_SECONDS,
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
        path="/",
    )
    return response


def may(right: str | Right) -> bool:
    """Whether who has signed in may do it."""
    key: ApiKey | None = g.get("desk_key")
    return key is not None and allows(key.role, Right(right))


def is_for_people() -> bool:
    """Whether the request's answer is read in a browser: a page of the desk, or an address that nobody has."""
    if (request.blueprint or "").startswith("desk"):
        return True
    named = request.url_rule is not None and request.path != "/"
    return not named and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def install(app: Flask) -> None:
    """Tell errors as pages, to people, and add the headers that every page has."""

    @app.after_request
    def finished(response: Response) -> Response:
        if not is_for_people():
            return response
        # A stream that is refused is told so as programs are: a page instead of it would only be an error of its own.
        reads_pages = request.accept_mimetypes.accept_html
        if reads_pages and response.status_code >= HTTPStatus.BAD_REQUEST and response.mimetype == "application/json":
            response = _error(response)
        response.headers.extend(_HEADERS)
        if request.endpoint == f"{blueprint.name}.static":
            kept = "v" in request.args and response.status_code < HTTPStatus.BAD_REQUEST
            response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable" if kept else "no-cache"
        else:
            response.headers.setdefault("Cache-Control", "no-store")
            response.vary.add("Accept")
        return response


def _common() -> dict[str, Any]:
    secret = g.get("desk_secret")
    return {
        "me": g.get("desk_key"),
        "may": may,
        "csrf_token": session_cookie.csrf_token(secret) if secret is not None else "",
        "now": context().clock(),
        "asset": assets.url,
    }


def _ask(asked: Action, error: ApiError | None = None) -> Response:
    status = error.status if error is not None else 200
    return render("confirm.html", status, action=asked, problem=str(error) if error is not None else None)


def _again() -> Response | None:
    """A page that opens the same address again: the browser's first request, after a click on another site's link.

    It came without the cookie, which is not sent for other sites (``SameSite=Strict``), though somebody has signed in.
    """
    if request.headers.get("Sec-Fetch-Site") != "cross-site" or request.method != "GET":
        return None
    return None if session_cookie.presented() is not None else render("again.html")


def _error(response: Response) -> Response:
    """An error object as a page; who has to sign in is taken there, and back afterwards."""
    message = str(response.get_json()["error"]["message"])
    if request.endpoint == "desk_signing_in.sign_in":
        told = render("sign_in.html", response.status_code, problem=message, next=request.form.get("next", "/"))
    elif response.status_code == HTTPStatus.UNAUTHORIZED:
        where = request.full_path.rstrip("?") if request.method in {"GET", "HEAD"} else request.path
        away = "1" if session_cookie.presented() is not None else ""
        query = urlencode({"next": where, "ended": away} if away else {"next": where})
        told = redirect(f"{SIGN_IN}?{query}", HTTPStatus.SEE_OTHER)  # type: ignore[assignment]  # as in ``done``
    else:
        told = render("error.html", response.status_code, problem=message)
    for name in ("Retry-After", "Allow"):
        if name in response.headers:
            told.headers[name] = response.headers[name]
    return told
