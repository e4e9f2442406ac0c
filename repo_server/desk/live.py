"""What happens in the fleet, for pages that stay open."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response

from repo_server.desk import page
from repo_server.events import unnamed
from repo_server.roles import Right
from repo_server.streaming import streamed

blueprint = Blueprint("desk_live", __name__)


@blueprint.get("/live")
def watched() -> Response:
    """The API's events, in the form that a browser hears without naming each kind; ends with the session."""
    return streamed(partial(page.enter, Right.VIEW, use=False), unnamed)
