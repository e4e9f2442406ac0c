"""An endpoint declares itself: who may call it, what it takes, what it answers, and how it may refuse.

``@operation`` on a view is the one place for all of this. It guards the view, and ``openapi.document`` describes every
route from it; a test fails for a route without. Refusals that follow from the rest are not named again: see ``errors``.

    @blueprint.get("/devices/<uuid:device_id>")
    @operation("One device", {200: answers.Device}, right=Right.VIEW)
    def one(device_id: uuid.UUID) -> Response: ...
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import ParamSpec

from flask import Response, request

from repo_server.answers import Answer, Page
from repo_server.auth import require
from repo_server.roles import Right
from repo_server.wire import Body, Query

_P = ParamSpec("_P")
_ATTRIBUTE = "operation"
NOT_MODIFIED = 304
_OF_THE_SERVER = (400, 414, 431)
"""Refused before an endpoint is known: no HTTP, an address or headers that are too long."""


class Asks(StrEnum):
    """Whose credentials an endpoint asks for."""

    ANYONE = "anyone"
    API_KEY = "api_key"
    """A key, or a session that stands for one."""
    KEY_ITSELF = "key_itself"
    """An API key of any role; no session."""
    SESSION = "session"
    """The cookie of a session."""
    DEVICE = "device"
    """The bearer token of the device in the address."""
    ENROLLMENT = "enrollment"
    REPOSITORY = "repository"
    """A device by HTTP basic, any API key, or for what a new Pi needs first an enrollment token by HTTP basic."""
    LOOPBACK = "loopback"
    """Nothing of programs on this machine, an API key of everyone else."""


@dataclass(frozen=True, slots=True)
class Content:
    """An answer that is no JSON of ours."""

    media_type: str
    schema: Mapping[str, object]


FILE = Content("application/octet-stream", {"type": "string", "format": "binary"})
NOTHING = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view declares."""

    summary: str
    words: str
    """The view's own, for the description."""
    answers: Mapping[int, type[Answer] | Content | None]
    right: Right | None
    asks: Asks
    body: type[Body] | None
    query: type[Query] | None
    refusals: tuple[int, ...]
    takes: tuple[str, ...]
    """Request headers that change the answer, beside the credentials."""
    gives: tuple[str, ...]
    """Headers of every successful answer."""

    @property
    def conditional(self) -> bool:
        """Whether the answer is a list: these have an ETag, and a client that has it already gets 304."""
        return any(isinstance(model, type) and issubclass(model, Page) for model in self.answers.values())

    def errors(self, *, in_path: bool) -> list[int]:
        """Every status with the error object that can come; ``in_path``: the address has parameters."""
        found = {*self.refusals, *_OF_THE_SERVER, 500, 503}
        if self.asks is not Asks.ANYONE:
            found |= {401, 429}
        if self.asks in {Asks.DEVICE, Asks.REPOSITORY}:
            found |= {403, 410}
        if self.right is not None:
            found |= {403}
        if self.body is not None:
            found |= {413, 415, 422}
        if self.query is not None:
            found |= {422}
        if in_path:
            found |= {404}
        return sorted(found)


def operation(
    summary: str,
    answers: Mapping[int, type[Answer] | Content | None],
    *,
    right: Right | None = None,
    asks: Asks | None = None,
    body: type[Body] | None = None,
    query: type[Query] | None = None,
    refusals: tuple[int, ...] = (),
    takes: tuple[str, ...] = (),
    gives: tuple[str, ...] = (),
) -> Callable[[Callable[_P, Response]], Callable[_P, Response]]:
    """Declare a view.

    ``answers``: the body of each status of success. ``right``: an API key that may do this is asked for, here and now;
    for all other credentials (``asks``) the view itself calls ``auth``. ``body`` and ``query``: what the view reads
    with ``body.read`` and ``body.read_query``. ``refusals``: statuses that follow from nothing else, such as 409.
    """
    asked = asks if asks is not None else Asks.API_KEY if right is not None else Asks.ANYONE

    def decorate(view: Callable[_P, Response]) -> Callable[_P, Response]:
        words = inspect.getdoc(view) or ""
        declared = Operation(summary, words, answers, right, asked, body, query, refusals, takes, gives)
        guarded = require(right)(view) if right is not None and asked is Asks.API_KEY else view
        outer = _conditional(guarded) if declared.conditional else guarded
        setattr(outer, _ATTRIBUTE, declared)
        return outer

    return decorate


def declared_by(view: Callable[..., object]) -> Operation | None:
    """What a view has declared."""
    found = getattr(view, _ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def _conditional(view: Callable[_P, Response]) -> Callable[_P, Response]:
    """A list carries the hash of its bytes, and is not sent to a client that has the same bytes already."""

    @wraps(view)
    def answered(*args: _P.args, **kwargs: _P.kwargs) -> Response:
        response = view(*args, **kwargs)
        response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
        response.headers["Cache-Control"] = "private, no-cache"
        response.make_conditional(request)
        return response

    return answered
