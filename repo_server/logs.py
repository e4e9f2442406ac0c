"""The log: one line a request, without bodies, query strings or secrets."""

from __future__ import annotations

import logging
import re
import sys
import time
from urllib.parse import quote

from flask import Flask, Response, g, request

_log = logging.getLogger("repo_server")
_LONGEST_PATH = 300
_SAFE = "/:@!$&'()*+,;=~-._"
_PLAIN = re.compile(f"[A-Za-z0-9{re.escape(_SAFE)}]*", re.ASCII)


def configure() -> None:
    """Send our log to standard error, where systemd and gunicorn's own lines go."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    _log.handlers[:] = [handler]
    _log.setLevel(logging.INFO)
    _log.propagate = False
    # Neither our lines nor gunicorn's have these, and finding them out is a good part of what a line costs.
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - so says the documentation of logging, under "Optimization"


def _quoted(text: str) -> str:
    """A client must not be able to write lines of its own."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_SAFE)


def _size(response: Response) -> str:
    """The body's bytes, as promised to the client; "-" where it is not known in advance."""
    # A file that is streamed has only its header; other bodies only get one after this line is written.
    promised = response.content_length
    sent = 0 if request.method == "HEAD" else promised if promised is not None else response.calculate_content_length()
    return "-" if sent is None else f"{sent}B"


def install(app: Flask) -> None:
    """Log each request as it is answered; a failure's reference and place go on the same line."""

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def line(response: Response) -> Response:
        milliseconds = (time.perf_counter() - g.get("started", time.perf_counter())) * 1000
        path, who = _quoted(request.path)[:_LONGEST_PATH], _quoted(str(g.get("who", "-")))
        failure = g.get("failure", "")
        _log.log(
            logging.ERROR if failure else logging.INFO,
            "%s %s %d %s %.1fms who=%s%s",
            _quoted(request.method)[:20],
            path,
            response.status_code,
            _size(response),
            milliseconds,
            who,
            f" {failure}" if failure else "",
        )
        return response
