"""gunicorn's worker with threads, as we need it: it lets watchers go when it stops, and refuses in our own form."""

from __future__ import annotations

import socket
from http import HTTPStatus
from types import FrameType

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # it has none

from repo_server import events, pool
from repo_server.errors import error_body

_SENTENCES = {
    HTTPStatus.REQUEST_URI_TOO_LONG: "the address is too long; send fewer or shorter parameters",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the headers are too large or too many; send fewer",
    HTTPStatus.BAD_REQUEST: "this is no HTTP request that can be understood",
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types to check against
    """Named in ``gunicorn_conf``."""

    def get_thread_pool(self) -> pool.CountingPool:
        """Called once, before the application is loaded."""
        return pool.make(self.cfg.threads)

    def init_process(self) -> None:
        """What never comes to the application, gunicorn refuses itself, as HTML: with the error object instead."""
        util.write_error = _refuse
        super().init_process()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM end the event streams at once: gunicorn waits for whatever still runs."""
        super().handle_exit(sig, frame)
        # Without an application where it is told to stop before it has begun, or where the application cannot be made.
        bus: events.Bus | None = getattr(getattr(self, "wsgi", None), "extensions", {}).get(events.KEY)
        if bus is not None:
            bus.close()


def _refuse(connection: socket.socket, status: int, reason: str, message: str) -> None:
    """In place of gunicorn's own; ``message`` quotes the request and so is not passed on."""
    del message
    body = error_body(status, _SENTENCES.get(HTTPStatus(status), reason.lower()))
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(connection, head.encode() + body)
