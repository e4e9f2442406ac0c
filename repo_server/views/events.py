"""What happens in the fleet, as server-sent events."""

from __future__ import annotations

from flask import Blueprint, Response, copy_current_request_context, current_app, request

from repo_server.auth import check_api_key
from repo_server.errors import ApiError
from repo_server.events import KEY, Bus
from repo_server.operations import Content, operation
from repo_server.roles import Right

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@operation(
    "What happens in the fleet, as it happens (server-sent events)",
    {200: Content("text/event-stream", {"type": "string"})},
    right=Right.VIEW,
    takes=("Last-Event-ID",),
)
def watched() -> Response:
    """A stream that lasts until the client, the key or session, or the server goes away."""
    response = Response(mimetype="text/event-stream")
    # A proxy must not collect it; nginx reads the second.
    response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    if request.method != "HEAD":
        bus: Bus = current_app.extensions[KEY]
        stream = bus.watch(request.headers.get("Last-Event-ID"), copy_current_request_context(_may_still_watch))
        response.response = iter(stream)
        response.call_on_close(stream.close)
    return response


def _may_still_watch() -> bool:
    """Whether the key or session that the stream was opened with still counts; watching is no use of it."""
    try:
        check_api_key(Right.VIEW, use=False)
    except ApiError:
        return False
    return True
