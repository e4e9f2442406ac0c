"""The fleet in numbers."""

from __future__ import annotations

from flask import Blueprint, Response

from repo_server import answers
from repo_server.context import context
from repo_server.operations import operation
from repo_server.roles import Right
from repo_server.store import fleet

blueprint = Blueprint("fleet", __name__)


@blueprint.get("/fleet")
@operation("The fleet in numbers", {200: answers.Fleet}, right=Right.VIEW)
def summary() -> Response:
    """Devices, versions, reasons, updates."""
    here = context()
    return answers.respond(fleet.summary(here.db.connection(), here.clock()))
