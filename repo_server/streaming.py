"""The answer that streams events to whoever may hear them, for as long as they may."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, copy_current_request_context, current_app, request

from repo_server.errors import ApiError
from repo_server.events import KEY, Bus, Event


def streamed(may_watch: Callable[[], None], text: Callable[[str, Event], str]) -> Response:
    """Events from now on, or from behind the ``Last-Event-ID`` that the client has.

    ``may_watch`` raises ``ApiError`` once the client may not any more; it is asked now and then. Watching is no use of
    a session, or a page that is left open would never rest.
    """
    may_watch()
    response = Response(mimetype="text/event-stream")
    # A proxy must not collect it; nginx reads the second.
    response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    if request.method != "HEAD":
        bus: Bus = current_app.extensions[KEY]

        def still() -> bool:
            try:
                may_watch()
            except ApiError:
                return False
            return True

        stream = bus.watch(request.headers.get("Last-Event-ID"), copy_current_request_context(still), text)
        response.response = iter(stream)
        response.call_on_close(stream.close)
    return response
