"""The list of devices: searched, filtered, sorted, and read page by page; all of it in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field, ValidationError

from repo_server import wire
from repo_server.body import sentence
from repo_server.context import context
from repo_server.desk import addresses, page, words
from repo_server.desk.device_words import shown
from repo_server.errors import InvalidError
from repo_server.lifecycle import Status
from repo_server.presence import Presence
from repo_server.roles import Right
from repo_server.store import device_lists, devices

blueprint = Blueprint("desk_devices", __name__)
ADDRESS = "/devices"
_SHORTCUTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("All", {}),
    ("Need attention", {"attention": "true"}),
    ("Late", {"presence": "late"}),
    ("Lost", {"presence": "lost"}),
    ("Failed", {"status": "failed"}),
    ("Wait for approval", {"state": devices.PENDING}),
    ("Asked for a new token", {"reenrollment": "true"}),
    ("Retired", {"state": devices.DECOMMISSIONED}),
)
_SELDOM = ("channel", "version", "reason", "status", "sort", "state")
"""Filters that are folded away while they are not in use."""


class ListQuery(wire.DeviceQuery):
    """GET /devices: what the API's list takes, in smaller pages."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


@blueprint.get(ADDRESS)
@page.page(Right.VIEW)
def listed() -> Response:
    """One page of devices."""
    here, now = context(), context().clock()
    query, given = _query()
    connection = here.db.connection()
    found = device_lists.list_page(connection, query, now)
    stuck = device_lists.stuck(connection, [device.id for device in found.items])
    narrowed = {name: value for name, value in given.items() if name not in {"cursor", "limit", "sort"}}
    return page.render(
        "devices.html",
        query=query,
        given=given,
        narrowed=narrowed,
        folded=not any(name in given for name in _SELDOM),
        rows=[shown(device, now, stuck.get(device.id)) for device in found.items],
        next=_address(given, cursor=found.next_cursor) if found.next_cursor else None,
        first=_address(given, cursor=None) if query.cursor else None,
        shortcuts=[(text, _address(change), _is_at(change, narrowed)) for text, change in _SHORTCUTS],
        sorting=_sorting(query.sort, given),
        none_at_all=not found.items and not narrowed and not device_lists.any_at_all(connection),
        choices=_choices(device_lists.choices(connection, query.state), query),
    )


def _query() -> tuple[ListQuery, dict[str, str]]:
    """What the address asks for, and its parameters; a field that was left empty in the form asks for nothing.

    Raises ``InvalidError``.
    """
    given = {name: value.strip() for name, value in request.args.items() if value.strip()}
    try:
        return ListQuery.model_validate(given), given
    except ValidationError as error:
        raise InvalidError(f"{sentence(error)}; {ADDRESS} shows all devices") from None


def _address(given: dict[str, str], **change: str | None) -> str:
    return addresses.anew(ADDRESS, given, **change)


def _is_at(change: dict[str, str], narrowed: dict[str, str]) -> bool:
    return change.items() <= narrowed.items() if change else not narrowed


def _sorting(sort: str, given: dict[str, str]) -> Callable[[str], tuple[str, str | None]]:
    """For a column: the address that sorts by it, the other way round where it is in use, and how it is sorted now."""

    def of(column: str) -> tuple[str, str | None]:
        now = {column: "ascending", f"-{column}": "descending"}.get(sort)
        return _address(given, sort=f"-{column}" if now == "ascending" else column), now

    return of


def _choices(found: device_lists.Choices, query: ListQuery) -> dict[str, list[tuple[str, str]]]:
    """Values and texts of each select. What the address asks for is among them though no device has it any more."""

    def plain(every: str, values: list[str], chosen: str | None) -> list[tuple[str, str]]:
        all_of_them = sorted({*values, *([chosen] if chosen is not None else [])})
        return [("", every), *((value, value) for value in all_of_them)]

    return {
        "presence": [("", "Any"), *((one, words.presence(one).text.capitalize()) for one in Presence)],
        "state": [("", "Let in"), (devices.PENDING, "Wait for approval"), (devices.DECOMMISSIONED, "Retired")],
        "group": plain("Any", found.groups, query.group),
        "channel": plain("Any", found.channels, query.channel),
        "version": plain("Any", found.versions, query.version),
        "reason": plain("Any", found.reasons, query.reason),
        "status": [("", "Any"), *((str(one), str(one).replace("_", " ")) for one in Status)],
        "sort": [
            ("", "Oldest registration first"),
            ("-registered", "Newest registration first"),
            ("name", "By name"),
            ("-name", "By name, from Z to A"),
            ("seen", "Longest silent first"),
            ("-seen", "Last heard of first"),
        ],
    }
