"""The log: one line a request, without bodies, query strings or secrets; for people, or as JSON for programs."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from flask import Flask, Response, g, request

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID_VARIABLE = "HTTP_X_REQUEST_ID"
"""The header as WSGI names it."""
TEXT, JSON = "text", "json"

_log = logging.getLogger("repo_server")
_LONGEST_PATH = 300
_SAFE = "/:@!$&'()*+,;=~-._"
_PLAIN = re.compile(f"[A-Za-z0-9{re.escape(_SAFE)}]*", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class _JsonFormatter(logging.Formatter):
    """One object a line; a request's fields are its own keys."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None) or {"message": record.getMessage()}
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"
        return json.dumps({"time": at, "level": record.levelname.lower(), **fields})


def configure(form: str = TEXT) -> None:
    """Send our log to standard error, where systemd and gunicorn's own lines go; ``form``: ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(_JsonFormatter() if form == JSON else text)
    _log.handlers[:] = [handler]
    _log.setLevel(logging.INFO)
    _log.propagate = False
    # Neither our lines nor gunicorn's have these, and finding them out is a good part of what a line costs.
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - so says the documentation of logging, under "Optimization"


def _quoted(text: str) -> str:
    """A client must not be able to write lines of its own."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_SAFE)


def new_request_id() -> str:
    """For a request that came without a name."""
    return secrets.token_hex(6)


def request_id() -> str:
    """Of the current request: the client's own where it sent a fitting one, so that logs can be laid side by side."""
    if "request_id" not in g:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
    return str(g.request_id)


@dataclass(frozen=True, slots=True)
class Answered:
    """What is said of a request, once it is answered."""

    method: str
    path: str
    route: str | None
    status: int
    size: int | None
    """Bytes of the body; None where that is not known in advance."""
    seconds: float
    who: str
    client: str | None
    request_id: str
    failure: str | None = None
    """What went wrong and where, on one line."""


def write(said: Answered) -> None:
    """The line; whatever a client chose is quoted, so that it cannot write lines of its own."""
    fields: dict[str, object] = {
        "method": _quoted(said.method)[:20],
        "path": _quoted(said.path)[:_LONGEST_PATH],
        "route": said.route,
        "status": said.status,
        "bytes": said.size,
        "milliseconds": round(said.seconds * 1000, 1),
        "who": _quoted(said.who),
        "client": _quoted(said.client or "-"),
        "request": said.request_id,
    }
    if said.failure is not None:
        fields["failure"] = said.failure
    level = logging.INFO if said.failure is None else logging.ERROR
    _log.log(level, "%s", _text(fields), extra={"fields": fields})


def install(app: Flask) -> None:
    """Log each request as it is answered; a failure's place goes on the same line."""

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def line(response: Response) -> Response:
        rule = request.url_rule
        write(
            Answered(
                method=request.method,
                path=request.path,
                route=rule.rule if rule is not None else None,
                status=response.status_code,
                size=_size(response),
                seconds=time.perf_counter() - g.get("started", time.perf_counter()),
                who=str(g.get("who", "-")),
                client=request.remote_addr,
                request_id=request_id(),
                failure=g.get("failure"),
            )
        )
        if REQUEST_ID_HEADER in request.headers:
            response.headers[REQUEST_ID_HEADER] = request_id()
        return response


def _text(fields: Mapping[str, object]) -> str:
    size = "-" if fields["bytes"] is None else f"{fields['bytes']}B"
    start = f"{fields['method']} {fields['path']} {fields['status']} {size} {fields['milliseconds']}ms"
    rest = f"who={fields['who']} client={fields['client']} request={fields['request']}"
    return f"{start} {rest} {fields['failure']}" if "failure" in fields else f"{start} {rest}"


def _size(response: Response) -> int | None:
    """The body's bytes, as promised to the client; None where it is not known in advance."""
    if request.method == "HEAD":
        return 0
    # A file that is streamed has only its header; other bodies only get one after this line is written. A stream
    # without an end must not be asked.
    promised: int | None = response.content_length
    return promised if promised is not None or response.is_streamed else response.calculate_content_length()
