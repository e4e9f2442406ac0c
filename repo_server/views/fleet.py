"""The fleet in numbers."""

from __future__ import annotations

from flask import Blueprint, Response

from repo_server import answers, body, wire
from repo_server.context import context
from repo_server.operations import operation
from repo_server.roles import Right
from repo_server.store import fleet, history

blueprint = Blueprint("fleet", __name__)


@blueprint.get("/fleet")
@operation("The fleet in numbers", {200: answers.Fleet}, right=Right.VIEW)
def summary() -> Response:
    """Devices by presence, versions, reasons for waiting, updates."""
    here = context()
    return answers.respond(fleet.summary(here.db.connection(), here.clock()))


@blueprint.get("/fleet/history")
@operation(
    "The fleet in numbers as it was, hour by hour, the oldest first",
    {200: answers.Page[answers.FleetSample]},
    right=Right.VIEW,
    query=wire.HistoryQuery,
)
def past() -> Response:
    """A sample for each hour in which the server ran."""
    here, query = context(), body.read_query(wire.HistoryQuery)
    return answers.respond(history.list_page(here.db.connection(), query, here.clock()))
