"""Is it up, can it serve, and what is it."""

from __future__ import annotations

from flask import Blueprint, Response

from repo_server import answers
from repo_server.context import context
from repo_server.operations import operation
from repo_server.version import VERSION

blueprint = Blueprint("health", __name__)


@blueprint.get("/")
@operation("What answers here", {200: answers.Service})
def index() -> Response:
    """What answers here; a dashboard comes later."""
    return answers.respond(answers.Service(service="pi-ota repo-server", version=VERSION, api="/api/v1/"))


@blueprint.get("/healthz")
@operation("The process answers", {200: answers.Health})
def healthz() -> Response:
    """The process answers."""
    return answers.respond(answers.Health(status="ok"))


@blueprint.get("/readyz")
@operation("It can serve", {200: answers.Health})
def readyz() -> Response:
    """The database can be read; otherwise the error object tells why not."""
    context().db.connection().execute("SELECT count(*) FROM updates").fetchone()
    return answers.respond(answers.Health(status="ready"))
