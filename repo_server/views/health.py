"""Is it up, can it serve, and what is it."""

from __future__ import annotations

import os
import sqlite3

from flask import Blueprint, Response

from repo_server import answers
from repo_server.context import context
from repo_server.db import Durability
from repo_server.desk import fleet, page
from repo_server.errors import UnavailableError
from repo_server.operations import operation
from repo_server.version import VERSION

blueprint = Blueprint("health", __name__)


@blueprint.get("/")
@operation("What answers here; a browser, which asks for HTML, gets the fleet's page", {200: answers.Service})
def index() -> Response:
    """What answers here."""
    if page.is_for_people():
        return fleet.show()
    return answers.respond(answers.Service(service="pi-ota repo-server", version=VERSION, api="/api/v1/"))


@blueprint.get("/healthz")
@operation("The process answers", {200: answers.Health})
def healthz() -> Response:
    """The process answers."""
    return answers.respond(answers.Health(status="ok"))


@blueprint.get("/readyz")
@operation("It can serve", {200: answers.Health})
def readyz() -> Response:
    """The database can be written and the repository read; otherwise the error object tells why not."""
    here = context()
    try:
        here.db.write(lambda connection: connection.execute("SELECT 1"), Durability.CRASH)
    except sqlite3.Error as error:
        raise UnavailableError(f"the database cannot be written: {error}; `repo-server doctor` says more") from error
    folder = here.settings.repository
    if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        raise UnavailableError("the repository's folder cannot be read; `repo-server doctor` says more")
    return answers.respond(answers.Health(status="ready"))
