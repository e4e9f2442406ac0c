"""What happens in the fleet, as server-sent events."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response

from repo_server.auth import check_api_key
from repo_server.events import named
from repo_server.operations import Content, operation
from repo_server.roles import Right
from repo_server.streaming import streamed

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
    return streamed(partial(check_api_key, Right.VIEW, use=False), named)
