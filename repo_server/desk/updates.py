"""Updates: the list, one of them, its devices, and its plan."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Annotated, Literal

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from pydantic import Field

from repo_server import body, events, standing, steering, wire
from repo_server.context import KEY as CONTEXT
from repo_server.context import context
from repo_server.desk import addresses, page, update_view, update_words, words
from repo_server.lifecycle import FAILURES
from repo_server.roles import Right
from repo_server.standing import Part
from repo_server.store import rollouts, update_pages
from repo_server.store.reading import snapshot
from repo_server.tallies import KEY, Tallies

blueprint = Blueprint("desk_updates", __name__)
_PARTS = {
    "failed": ("Failed", FAILURES),
    Part.UNDER_WAY: ("Under way", standing.STATUSES[Part.UNDER_WAY]),
    "stuck": ("Stuck", frozenset[str]()),
    Part.PREPARING: ("May install", standing.STATUSES[Part.PREPARING]),
    Part.SUCCEEDED: ("Succeeded", standing.STATUSES[Part.SUCCEEDED]),
}


class ListQuery(wire.UpdateQuery):
    """GET /updates."""

    limit: Annotated[int, Field(ge=1, le=100)] = 25


class DevicesQuery(wire.PageQuery):
    """GET /updates/ID/devices."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    part: Literal["failed", "under-way", "stuck", "preparing", "succeeded"] | None = None


class PlanQuery(wire.PlanQuery):
    """GET /updates/ID/plan."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50


@blueprint.record
def _keep_tallies(state: BlueprintSetupState) -> None:
    app, here = state.app, state.app.extensions[CONTEXT]
    app.extensions[KEY] = Tallies(here.db, here.clock, app.extensions[events.KEY])


def tallies() -> Tallies:
    """The application's."""
    found: Tallies = current_app.extensions[KEY]
    return found


@blueprint.get("/updates")
@page.page(Right.RELEASES)
def listed() -> Response:
    """The newest first."""
    connection, query = context().db.connection(), body.read_query(ListQuery)
    found = update_pages.listed(connection, query)
    return page.render(
        "updates.html",
        items=[(one, update_view.segments(one.standing)) for one in found.items],
        query=query,
        channels=update_pages.channels(connection),
        address=address,
        next=address(cursor=found.next_cursor) if found.next_cursor else None,
        first=address(cursor=None) if query.cursor else None,
        words=words,
    )


@blueprint.get("/updates/<uuid:update_id>")
@page.page(Right.RELEASES)
def one(update_id: uuid.UUID) -> Response:
    """What it brings, and how it goes; the latter only to who may see devices."""
    here = context()
    connection = here.db.connection()
    with snapshot(connection):
        row = steering.found(connection, str(update_id))
        seen = update_view.progress(connection, row, tallies(), here.clock()) if page.may(Right.VIEW) else None
        changes = update_view.changes(connection, row)
    return page.render(
        "update.html", update=row, progress=seen, changes=changes, words=words, limit_words=update_words.limit
    )


@blueprint.get("/updates/<uuid:update_id>/devices")
@page.page(Right.VIEW)
def devices(update_id: uuid.UUID) -> Response:
    """How far each device is that was granted it."""
    connection, query = context().db.connection(), body.read_query(DevicesQuery)
    with snapshot(connection):
        row = steering.found(connection, str(update_id))
        if query.part == "stuck":
            found = update_pages.stuck(connection, row["id"], query)
        else:
            statuses = _PARTS[query.part][1] if query.part is not None else frozenset()
            found = update_pages.devices(connection, row["id"], statuses, query)
        numbers = _numbers(connection, row)
    return page.render(
        "update_devices.html",
        update=row,
        items=found.items,
        query=query,
        chips=[(part, label, numbers[part]) for part, (label, _) in _PARTS.items()],
        address=address,
        next=address(cursor=found.next_cursor) if found.next_cursor else None,
        first=address(cursor=None) if query.cursor else None,
        words=words,
    )


@blueprint.get("/updates/<uuid:update_id>/plan")
@page.page(Right.VIEW)
def plan(update_id: uuid.UUID) -> Response:
    """Who gets it when."""
    here, query = context(), body.read_query(PlanQuery)
    connection, now = here.db.connection(), here.clock()
    row = steering.found(connection, str(update_id))
    seen = update_view.progress(connection, row, tallies(), now)
    found = update_pages.planned(connection, row, query, now)
    return page.render(
        "update_plan.html",
        update=row,
        progress=seen,
        plan=found,
        query=query,
        address=address,
        next=address(cursor=found.next_cursor) if found.next_cursor else None,
        first=address(cursor=None) if query.cursor else None,
        words=words,
    )


def address(**changes: object) -> str:
    """The page that is looked at with other parameters (None: without it), from its beginning unless told."""
    return addresses.anew(request.path, request.args.to_dict(), **changes)


def _numbers(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, int]:
    stuck = rollouts.stuck_counts(connection).get(row["id"], 0)
    counted = update_pages.recorded(connection, row, stuck)
    return {str(part): counted[part] for part in Part} | {"failed": counted.failures, "stuck": stuck}
