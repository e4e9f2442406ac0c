"""The first page: the fleet in numbers."""

from __future__ import annotations

from flask import Blueprint, Response

from repo_server.context import context
from repo_server.desk import page
from repo_server.roles import Right
from repo_server.store import fleet

blueprint = Blueprint("desk_fleet", __name__)


@page.page(Right.VIEW)
def show() -> Response:
    """At ``/``, to browsers: see ``views.health``."""
    here = context()
    return page.render("fleet.html", fleet=fleet.summary(here.db.connection(), here.clock()))
