"""From a request to a validated value, or to the error that says what is wrong with it."""

from __future__ import annotations

from typing import TypeVar

from flask import request
from pydantic import ValidationError

from repo_server.errors import BadRequestError, InvalidError, TooLargeError, UnsupportedMediaTypeError
from repo_server.wire import Body, Query

HEARTBEAT_BYTES = 64 * 1024
BODY_BYTES = 2 * 1024 * 1024

JSON = "application/json"
_SHOWN = 5
_B = TypeVar("_B", bound=Body)
_Q = TypeVar("_Q", bound=Query)


def read(shape: type[_B], limit: int = BODY_BYTES) -> _B:
    """The request's JSON body as ``shape``; at most ``limit`` bytes are ever read, whatever the headers claim.

    Raises ``UnsupportedMediaTypeError``, ``BadRequestError`` (not JSON, not an object), ``InvalidError`` (names the
    field) and ``TooLargeError``.
    """
    if request.environ.get("CONTENT_TYPE") != JSON and request.mimetype != JSON:  # most send the bare word
        raise UnsupportedMediaTypeError(f"send the body as JSON, with the header Content-Type: {JSON}")
    try:
        return shape.model_validate_json(_content(limit))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise BadRequestError(f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}") from None
        if not first["loc"]:
            raise BadRequestError("the body must be a JSON object") from None
        raise InvalidError(sentence(error)) from None


def _content(limit: int) -> bytes:
    length = request.content_length
    if length is not None and length <= limit:
        # What werkzeug would put around the server's own stream costs as much as validating a heartbeat.
        content: bytes = request.environ["wsgi.input"].read(length)
        return content
    if length is None:
        # A chunked body has no length. werkzeug cuts it off at its limit without a word, so one byte more is asked for.
        request.max_content_length = limit + 1
        content = request.get_data(cache=False)
        if len(content) <= limit:
            return content
    raise TooLargeError(f"the body is larger than {limit} bytes; send less at once")


def read_query(shape: type[_Q]) -> _Q:
    """The query string as ``shape``; a parameter given twice is refused."""
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InvalidError(f"{_shown(name)}: is given {len(values)} times, once is enough")
    try:
        return shape.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise InvalidError(sentence(error)) from None


def sentence(error: ValidationError) -> str:
    """``field: what is wrong``, for the first few fields. Never a value: it could be a secret."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    parts = []
    for one in found[:_SHOWN]:
        place = ".".join(_shown(str(step)) for step in one["loc"])
        message = "unknown field" if one["type"] == "extra_forbidden" else one["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {message}")
    if len(found) > _SHOWN:
        parts.append(f"and {len(found) - _SHOWN} more")
    return "; ".join(parts)


def _shown(name: str) -> str:
    """A name that a client chose, short and on one line."""
    return name[:64].encode("unicode_escape").decode()
