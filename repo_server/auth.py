"""Who is asking: API keys in ``X-API-Key`` or a session's cookie that stands for one, devices and enrollment tokens as
``Authorization: Bearer``, and for apt HTTP basic with the device's id and token.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from repo_server import archive, enrollment, ids, rotation, session_cookie, sessions, wire
from repo_server.context import context
from repo_server.errors import ForbiddenError, GoneError, UnauthorizedError
from repo_server.roles import Right, allows, roles_with
from repo_server.store import credentials, devices
from repo_server.store.sessions import Session

_P = ParamSpec("_P")
_R = TypeVar("_R")

API_KEY_HEADER = "X-API-Key"
ENROLL = "enroll"
"""The user of HTTP basic whose password is an enrollment token; a device's is its id."""
_NOBODY = ids.sha256_hex("nobody")
_SIGN_IN = "sign in with an API key (POST /api/v1/session)"


def who() -> str:
    """Who was recognised, for the log and the audit log."""
    return str(g.get("who", "-"))


def recognised(name: str) -> None:
    """Remember who is asking."""
    g.who = name


def require(right: Right) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A view for API keys that may do ``right``."""

    def decorate(view: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            check_api_key(right)
            return view(*args, **kwargs)

        return guarded

    return decorate


def check_api_key(right: Right, *, use: bool = True) -> None:
    """Let in a key that may do ``right``, or a session that stands for one; ``use``: the session lasts on for it.

    Raises ``UnauthorizedError``, and ``ForbiddenError`` where the role does not allow it or a session's request may not
    come from a page of ours.
    """
    by_session = API_KEY_HEADER not in request.headers and session_cookie.presented() is not None
    key = session(use=use)[0].key if by_session else api_key()
    check_role(key, right)


def check_role(key: credentials.ApiKey, right: Right) -> None:
    """Raises ``ForbiddenError`` where the key's role does not allow it."""
    if not allows(key.role, right):
        able = ", ".join(roles_with(right))
        raise ForbiddenError(f"a key of the role {key.role} may not do this; use one of: {able}")


def api_key() -> credentials.ApiKey:
    """The key in ``X-API-Key``. Raises ``UnauthorizedError``."""
    secret = request.headers.get(API_KEY_HEADER)
    if not secret:
        raise UnauthorizedError(
            f"send an API key in the header {API_KEY_HEADER}; `repo-server api-key create` makes one", "ApiKey"
        )
    return key_of(secret)


def key_of(secret: str) -> credentials.ApiKey:
    """The key with this secret. Raises ``UnauthorizedError``."""
    key = credentials.find_api_key(context().db.connection(), secret, context().clock())
    if key is None:
        message = "this API key is not known, was revoked or has expired"
        raise UnauthorizedError(message, "ApiKey", f"key {_short(secret)}")
    recognised(f"key:{key.name}")
    return key


def session(*, use: bool = True, csrf_token: str | None = None) -> tuple[Session, str]:
    """The session of the request's cookie, and its secret; ``use``: it lasts on for this request.

    ``csrf_token``: as the request brought it, where not in the header that is for it.

    Raises ``UnauthorizedError``, and ``ForbiddenError`` where a request that may change something does not come from a
    page of ours.
    """
    here, now, secret = context(), context().clock(), session_cookie.presented()
    if secret is None:
        raise UnauthorizedError(_SIGN_IN, "ApiKey")
    found = sessions.find(here.db, secret, here.settings.session_life, now)
    if found is None:
        raise UnauthorizedError(f"this session has ended; {_SIGN_IN}", "ApiKey", f"session {_short(secret)}")
    recognised(f"key:{found.key.name}")
    session_cookie.check_own_page(secret, csrf_token)
    if use:
        sessions.use(here.db, found, now)
    return found, secret


def enrollment_token() -> str | None:
    """The bearer token, if it is an enrollment token that exists.

    None where it is none, and devices may come back with their own token now: see ``comes_back``. Raises
    ``UnauthorizedError``.
    """
    secret, here = bearer(), context()
    token = credentials.find_enrollment_token(here.db.connection(), secret)
    if token is not None:
        recognised(f"enrollment_token:{token.name}")
        return secret
    if credentials.find_recovery(here.db.connection(), here.clock()) is None:
        raise UnauthorizedError(enrollment.NOT_KNOWN, "Bearer", f"token {_short(secret)}")
    return None


def comes_back(given: wire.Registration) -> None:
    """Let in a device that registers with its own token. Raises ``UnauthorizedError``."""
    if not credentials.matches(bearer(), given.token_sha256):
        raise UnauthorizedError(enrollment.NOT_KNOWN, "Bearer", f"device {given.id}")
    recognised(f"device:{given.id}")


def bearer() -> str:
    """The token of ``Authorization: Bearer``. Raises ``UnauthorizedError`` where there is none."""
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise UnauthorizedError("send a token in the header Authorization: Bearer", "Bearer")
    return given.token


def device_by_bearer(device_id: uuid.UUID, *, pending: bool = False) -> sqlite3.Row:
    """The device of the address, if the bearer token is its own; a device sees only itself.

    ``pending``: also one that waits for an operator's approval. Raises ``UnauthorizedError`` (the same for an unknown
    device as for a wrong token), ``ForbiddenError`` (waits for approval) and ``GoneError``.
    """
    return _device(str(device_id), bearer(), "Bearer", pending=pending)


def check_repository(name: str) -> None:
    """Let in a device by HTTP basic, or any API key; to some files also whoever has a good enrollment token.

    ``name`` is the file's. Raises as ``check_api_key`` and ``device_by_bearer`` do.
    """
    if request.headers.get(API_KEY_HEADER):
        check_api_key(Right.FETCH)
        return
    given = request.authorization
    if given is None or given.type != "basic" or not given.username or not given.password:
        raise UnauthorizedError("send the device's id and token by HTTP basic, or an API key in X-API-Key", "Basic")
    if given.username == ENROLL:
        _enrolling(given.password, name)
    else:
        _device(given.username, given.password, "Basic")


def _enrolling(secret: str, name: str) -> None:
    """A Pi that is about to register; it uses up no use of the token. Which name it asks for tells it nothing."""
    here = context()
    token = credentials.find_enrollment_token(here.db.connection(), secret)
    refusal = enrollment.NOT_KNOWN if token is None else token.refusal(here.clock())
    if token is None or refusal is not None:
        message = f"{refusal}; `repo-server enroll-token create` makes a new one"
        raise UnauthorizedError(message, "Basic", f"token {_short(secret)}")
    recognised(f"enrollment_token:{token.name}")
    if not archive.is_for_enrolling(name):
        packages = " and ".join(archive.FIRST_PACKAGES)
        raise ForbiddenError(f"an enrollment token may read the signed lists and download {packages}, nothing else")


def _short(secret: str) -> str:
    """Tells what was presented from other things presented, and cannot be presented itself."""
    return ids.sha256_hex(secret)[:16]


def _device(device_id: str, token: str, scheme: str, *, pending: bool = False) -> sqlite3.Row:
    row = devices.find(context().db.connection(), device_id)
    # An unknown device costs the same comparison as a wrong token.
    given = ids.sha256_hex(token)
    own = (row["token_sha256"], row["next_token_sha256"]) if row is not None else (_NOBODY,)
    if not credentials.is_one_of(given, *own) or row is None:
        message = "the device is not registered here, or the token is not its own"
        raise UnauthorizedError(message, scheme, f"device {device_id}")
    recognised(f"device:{device_id}")
    if row["state"] == devices.DECOMMISSIONED:
        raise GoneError(devices.GONE)
    if row["state"] == devices.PENDING and not pending:
        raise ForbiddenError(
            "this device waits for an operator's approval (`repo-server devices approve`); until then it may send "
            "heartbeats only"
        )
    if row["next_token_sha256"] is not None and credentials.is_one_of(given, row["next_token_sha256"]):
        rotation.complete(context().db, device_id, given, context().clock())
    return row
