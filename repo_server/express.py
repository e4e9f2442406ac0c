"""Heartbeats that are as they should be, answered ahead of Flask.

Almost every request is one, and finding its way through an application of fifty addresses costs more than recording
it. So this takes those that need no word of explanation, and hands on all others, and every one that fails in any way,
as if it had never seen them: nothing was written then, and the view in ``views.heartbeat`` decides and says why. The
two answer with the same bytes, the same line in the log and the same metrics.
"""

from __future__ import annotations

import io
import re
import sqlite3
import time
from typing import TYPE_CHECKING

from repo_server import answers, body, heartbeats, ids, logs, wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from repo_server.context import Context
    from repo_server.metrics import Metrics

ROUTE = "/api/v1/devices/<uuid:device_id>/heartbeat"
"""As Flask names it."""
_PATH = re.compile(rf"/api/v1/devices/({wire.UUID.strip('^$')})/heartbeat", re.ASCII)
_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/-]+=*)", re.ASCII)  # RFC 6750, 2.1
_LENGTH = re.compile(r"[0-9]{1,5}", re.ASCII)
_OK = 200


class Express:
    """WSGI middleware around the application, inside of what finds out the client's address."""

    def __init__(self, app: WSGIApplication, context: Context, metrics: Metrics) -> None:
        self._app, self._context, self._metrics = app, context, metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or hand on."""
        started = time.perf_counter()
        said = self._answer(environ) if environ["REQUEST_METHOD"] == "POST" else None
        if said is None:
            return self._app(environ, start_response)
        device_id, content = said
        self._metrics.count(ROUTE, "POST", _OK)
        self._metrics.observe_heartbeat(time.perf_counter() - started)
        logs.write(
            logs.Answered(
                method="POST",
                path=environ["PATH_INFO"],
                route=ROUTE,
                status=_OK,
                size=len(content),
                seconds=time.perf_counter() - started,
                who=f"device:{device_id}",
                client=environ.get("REMOTE_ADDR"),
                request_id=logs.new_request_id(),
            )
        )
        start_response("200 OK", [("Content-Type", body.JSON), ("Content-Length", str(len(content)))])
        return [content]

    def _answer(self, environ: WSGIEnvironment) -> tuple[str, bytes] | None:
        """Whose heartbeat it was, and the answer; None where somebody else has to look at it."""
        address = _PATH.fullmatch(environ["PATH_INFO"])
        token = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        length = _LENGTH.fullmatch(environ.get("CONTENT_LENGTH", ""))
        here = self._context
        if (
            address is None
            or token is None
            or length is None
            or environ.get("CONTENT_TYPE") != body.JSON
            or logs.REQUEST_ID_VARIABLE in environ  # who names a request wants to see the name again
            or int(length[0]) > body.HEARTBEAT_BYTES
            or here.waiting() > here.settings.most_waiting
        ):
            return None
        content = environ["wsgi.input"].read(int(length[0]))
        environ["wsgi.input"] = io.BytesIO(content)  # for whoever looks at it next
        now = here.clock()
        try:
            answer = heartbeats.beat(
                here.db,
                here.settings,
                address[1],
                wire.Heartbeat.model_validate_json(content),
                now,
                interval_seconds=here.pacer.next_seconds(now),
                token_sha256=ids.sha256_hex(token[1]),
            )
        except sqlite3.Error as error:  # it may have waited for as long as the settings say: once is enough
            environ[heartbeats.FAILED] = error
            return None
        except Exception:  # noqa: BLE001 - the view meets it again, and has the words for it
            return None
        return address[1], answers.render(answer)
