"""Everything that can go wrong, with one root; and the one form in which a client hears of it.

Over HTTP: ``{"error": {"kind": "…", "message": "…"}}``. In the CLI: the message as one sentence and an exit status.
"""

from __future__ import annotations

import json
import sqlite3
import traceback
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from repo_server import logs

_KINDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "gone",
    413: "too_large",
    414: "address_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}
_FRAMES = 6


class RepoServerError(Exception):
    """The root. Its text is one sentence for people that says what to do next."""


class ConfigError(RepoServerError):
    """A setting is wrong or missing."""


class SchemaError(RepoServerError):
    """The database cannot be used by this program."""


class ApiError(RepoServerError):
    """An answer other than success; ``status`` is the HTTP status, ``headers`` go with it."""

    status = 400

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})


class BadRequestError(ApiError):
    """The body is not JSON, or not an object."""


class UnauthorizedError(ApiError):
    """No credentials, or wrong ones. ``scheme`` goes into WWW-Authenticate (RFC 9110, 11.6.1).

    ``attempt`` names who the caller has tried to be, where he has: see ``attempts``.
    """

    status = 401

    def __init__(self, message: str, scheme: str, attempt: str | None = None) -> None:
        super().__init__(message, {"WWW-Authenticate": f'{scheme} realm="pi-ota"'})
        self.attempt = attempt


class ForbiddenError(ApiError):
    """The credentials are right and do not allow this."""

    status = 403


class NotFoundError(ApiError):
    """No such thing."""

    status = 404


class ConflictError(ApiError):
    """What is asked contradicts what is recorded."""

    status = 409


class GoneError(ApiError):
    """The device was decommissioned."""

    status = 410


class TooLargeError(ApiError):
    """The body has more bytes than this address takes."""

    status = 413


class UnsupportedMediaTypeError(ApiError):
    """The body is not declared as JSON."""

    status = 415


class InvalidError(ApiError):
    """A field is wrong; the message names it."""

    status = 422


class UnavailableError(ApiError):
    """Not now; ``retry_seconds`` later."""

    status = 503

    def __init__(self, message: str, retry_seconds: int = 10) -> None:
        super().__init__(message, {"Retry-After": str(retry_seconds)})


def kind_of(status: int) -> str:
    """The word for a status; a status without one of its own goes by its class."""
    return _KINDS.get(status) or ("internal" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad_request")


def error_body(status: int, message: str) -> bytes:
    """The error object."""
    return (json.dumps({"error": {"kind": kind_of(status), "message": message}}) + "\n").encode()


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The error object as an answer."""
    response = Response(error_body(status, message), status, mimetype="application/json")
    response.headers.update(headers or {})
    return response


_SENTENCES = {
    404: "there is nothing at this address; the API begins at /api/v1/",
    405: "this address does not take this method; the Allow header says which it takes",
    413: "the body is too large; send fewer items at once",
}


_SOON = 5
_DATABASE = {
    sqlite3.SQLITE_BUSY: ("the database is busy; try again in a few seconds", _SOON),
    sqlite3.SQLITE_LOCKED: ("the database is busy; try again in a few seconds", _SOON),
    sqlite3.SQLITE_FULL: ("the server's disk is full, nothing was recorded; its operator has to make room", 60),
    sqlite3.SQLITE_READONLY: ("the server's database is read-only, nothing was recorded; its log has the details", 60),
    sqlite3.SQLITE_IOERR: ("the server's disk fails, nothing was recorded; its log has the details", 60),
    sqlite3.SQLITE_CANTOPEN: ("the server's database cannot be opened; its log has the details", 60),
    sqlite3.SQLITE_CORRUPT: ("the server's database is damaged; its operator has to restore a backup", 300),
    sqlite3.SQLITE_NOTADB: ("the server's database is damaged; its operator has to restore a backup", 300),
}
"""What of the database's errors is no mistake of ours, by SQLite's primary code; and when to try again, in seconds."""


def install(app: Flask) -> None:
    """Give every way out of the application the error object."""

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        return error_response(error.status, str(error), error.headers)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> HTTPException | Response:
        status = error.code or 500
        if status < HTTPStatus.BAD_REQUEST:
            return error  # a redirect
        kept = {name: value for name, value in error.get_headers() if name in {"Allow", "Content-Range"}}
        return error_response(status, _SENTENCES.get(status, error.description or kind_of(status)), kept)

    @app.errorhandler(sqlite3.Error)
    def database_error(error: sqlite3.Error) -> Response:
        sentence, seconds = _DATABASE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, (None, 0))
        if sentence is None:
            return unexpected(error)
        if seconds > _SOON:  # it needs a person, who needs the details
            g.failure = f"error=database {describe(error)}"
        return error_response(503, sentence, {"Retry-After": str(seconds)})

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        reference = logs.request_id()
        # One line, so that it goes into the request's own line: see logs.py.
        g.failure = describe(error)
        return error_response(500, f"the server failed; its log has the details under {reference}")


def describe(error: BaseException) -> str:
    """An exception and its innermost frames on one line, without the text of any value but the exception's own."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    return f"{type(error).__name__}: {str(error)!r} at {places or '?'}"
