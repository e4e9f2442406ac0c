"""The first page: the fleet in numbers, over time, and who needs attention first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, request

from repo_server.answers import Fleet
from repo_server.attention import Patience, Section, rank
from repo_server.context import context
from repo_server.desk import concerns, fleet_charts, fleet_words, page, words
from repo_server.desk.bars import LEAST, WIDTH
from repo_server.desk.update_view import segments
from repo_server.desk.words import Why
from repo_server.grant import UpdateState
from repo_server.roles import Right
from repo_server.standing import Part
from repo_server.store import attention, fleet, history, update_pages
from repo_server.wire import UpdateQuery

blueprint = Blueprint("desk_fleet", __name__)

_EACH, _MOST = 2, 20
"""Of one cause, and of all together."""
_UPDATES = 50
"""The newest that are looked at; of each channel one or two are under way."""
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Waiting:
    """Devices whose gates defer for one reason."""

    code: str
    why: Why
    devices: int
    width: int
    """Of its bar, of ``WIDTH``."""


@page.page(Right.VIEW)
def show() -> Response:
    """At ``/``, to browsers: see ``views.health``."""
    here, now = context(), context().clock()
    connection = here.db.connection()
    summary = fleet.summary(connection, now)
    period = fleet_charts.period(request.args.get("period"))
    samples = history.thinned(connection, now - period.length, now, period.every_hours)
    under_way = [
        one
        for one in update_pages.listed(connection, UpdateQuery(limit=_UPDATES)).items
        if one.row["state"] != UpdateState.WITHDRAWN and (one.superseded_by is None or one.standing[Part.UNDER_WAY])
    ]
    return page.render(
        "fleet.html",
        fleet=summary,
        sections=_attention(summary),
        told=fleet_words,
        words=words,
        under_way=[(one, segments(one.standing)) for one in under_way[:_SHOWN]],
        more_under_way=max(len(under_way) - _SHOWN, 0),
        waiting=_waiting(summary.reasons),
        period=period,
        periods=fleet_charts.PERIODS,
        charts=(
            ("versions", "Versions over time", fleet_charts.versions(samples, summary, period.every_hours)),
            ("presence", "Online over time", fleet_charts.presence(samples, summary, period.every_hours)),
        ),
    )


def _attention(summary: Fleet) -> list[Section]:
    here, now, patience = context(), context().clock(), Patience()
    connection = here.db.connection()
    found = [*attention.found(connection, summary, patience, now), *concerns.repository(here.settings, now)]
    if page.may(Right.ADMINISTER):
        found += concerns.api_keys(connection, patience, now)
    return rank(found, each=_EACH, most=_MOST)


def _waiting(reasons: Mapping[str, int]) -> list[Waiting]:
    """The most frequent first."""
    ordered = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    most = max(reasons.values(), default=1)
    return [Waiting(code, words.reason(code), count, max(WIDTH * count // most, LEAST)) for code, count in ordered]
