"""A session's cookie, and what keeps other sites from using it (CSRF).

Over TLS the cookie has the prefix ``__Host-``: a browser takes and sends it for exactly this host, and never without
TLS. Without TLS there is a session only for a browser on the server's own machine, under another name; elsewhere
anybody on the way could read it.

A browser adds the cookie by itself, whoever makes it ask: ``SameSite=Strict`` keeps other sites from that, but neither
other hosts of the same site nor old browsers. So whatever may change something also has to bring a token that only our
own pages can read, and must not come from another origin by the browser's own word.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Response, request

from repo_server.errors import ForbiddenError
from repo_server.nearby import from_this_machine

NAME = "__Host-pi-ota-session"
NAME_WITHOUT_TLS = "pi-ota-session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD"})


def presented() -> str | None:
    """The secret that the browser has sent, where it may have one."""
    name = _name()
    return request.cookies.get(name) or None if name is not None else None


def check_protected() -> None:
    """Raises ``ForbiddenError`` where a session's secret would be read by whoever is on the way."""
    if _name() is None:
        raise ForbiddenError(
            "a session needs TLS: open this server by https, or on its own machine as http://localhost; where a proxy "
            "speaks TLS for it, name the proxy in trusted_proxies"
        )


def give(response: Response, secret: str, seconds: int) -> None:
    """Have the browser keep the secret for so long, out of reach of scripts."""
    _set(response, secret, seconds)


def take_back(response: Response) -> None:
    """Have the browser forget it."""
    _set(response, "", 0)


def csrf_token(secret: str) -> str:
    """What our own pages send in ``X-CSRF-Token``. It follows from the secret, which does not follow from it."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def check_own_page(secret: str, given: str | None = None) -> None:
    """Raises ``ForbiddenError`` where a request that may change something does not come from a page of ours.

    ``given``: the token, where it is not in the header; None where it is.
    """
    if request.method in _SAFE:
        return
    check_own_origin()
    token = given if given is not None else request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(token.encode(), csrf_token(secret).encode()):
        raise ForbiddenError(
            f"with a session, send its csrf_token (GET /api/v1/session tells it) in the header {CSRF_HEADER}"
        )


def check_own_origin() -> None:
    """Raises ``ForbiddenError`` where a browser says that a page of another origin asks; others say nothing."""
    # A browser's word about itself, which pages cannot change; what is no browser, or an old one, says nothing.
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    foreign = site != "same-origin" if site is not None else origin is not None and origin != _own_origin()
    if foreign:
        raise ForbiddenError("this was asked by a page of another site; ask from a page of this server")


def _name() -> str | None:
    if request.is_secure:
        return NAME
    return NAME_WITHOUT_TLS if from_this_machine() else None


def _own_origin() -> str:
    return f"{request.scheme}://{request.host}"


def _set(response: Response, value: str, seconds: int) -> None:
    response.set_cookie(
        _name() or NAME, value, max_age=seconds, secure=request.is_secure, httponly=True, samesite="Strict", path="/"
    )
