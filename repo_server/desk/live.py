"""What happens in the fleet, for pages that stay open."""

from __future__ import annotations

from flask import Blueprint, Response, copy_current_request_context, current_app, request

from repo_server.desk import page
from repo_server.errors import ApiError
from repo_server.events import KEY, Bus, unnamed
from repo_server.roles import Right

blueprint = Blueprint("desk_live", __name__)


@blueprint.get("/live")
def watched() -> Response:
    """The API's events, in the form that a browser hears without naming each kind; ends with the session."""
    page.enter(Right.VIEW, use=False)
    response = Response(mimetype="text/event-stream")
    response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    if request.method != "HEAD":
        bus: Bus = current_app.extensions[KEY]
        may_still = copy_current_request_context(_may_still_watch)
        stream = bus.watch(request.headers.get("Last-Event-ID"), may_still, unnamed)
        response.response = iter(stream)
        response.call_on_close(stream.close)
    return response


def _may_still_watch() -> bool:
    try:
        page.enter(Right.VIEW, use=False)
    except ApiError:
        return False
    return True
