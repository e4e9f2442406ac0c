"""The first page."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from repo_server import housekeeping
from repo_server.context import KEY
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, status
from tests.unit.repo_server.desk.conftest import Desk

HOSTILE = "<script>alert(1)</script>"


def plain(html: str) -> str:
    """The text that somebody reads."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def part(html: str, name: str) -> str:
    found = re.search(rf'<(section|figure)[^>]* id="{name}".*?</\1>', html, re.DOTALL)
    assert found is not None, name
    return found[0]


def shown(desk: Desk, role: str = "viewer", query: str = "") -> str:
    answer = desk.as_(role).get(f"/{query}")
    assert answer.status_code == 200
    return answer.text


def test_an_empty_fleet_is_told_what_comes_first(desk: Desk) -> None:
    page = shown(desk, "admin")
    assert "0 of 0" in plain(part(page, "totals"))
    assert "nothing is published yet" in plain(part(page, "attention"))
    assert "release-agent" in plain(part(page, "attention"))
    assert "No release is announced yet" in plain(part(page, "under-way"))
    assert "No device has told its version yet" in plain(part(page, "chart-versions"))
    assert "no history of this period yet" in plain(part(page, "chart-presence"))
    assert "No device puts an update off" in plain(part(page, "waiting"))
    assert "data-chart" in page
    assert 'type="application/json"' not in page


def test_the_numbers_are_those_of_the_api_and_lead_to_the_lists(desk: Desk) -> None:
    service = desk.service
    service.register()
    service.beat(gate={"decision": "defer", "reason": "RECENT_ACTIVITY"})
    service.register(Preset(approval=True), id=OTHER_DEVICE, token="other")
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"hold": "guests"}, key=desk.key("operator"))
    page = shown(desk)
    assert plain(part(page, "totals")) == (
        "Online 1 of 1 Late 0 missed heartbeats Lost 0 not heard of for long "
        "Waiting 1 to be let in Held 1 by an operator"
    )
    assert 'href="/devices?presence=online"' in page
    waiting = part(page, "waiting")
    assert "Somebody used the assistant a short while ago RECENT_ACTIVITY 1" in plain(waiting)
    assert 'href="/devices?reason=RECENT_ACTIVITY"' in waiting
    assert f'<a href="/devices/{OTHER_DEVICE}">kitchen</a> waits to be let in' in part(page, "attention")


def test_updates_under_way_and_not_those_that_a_newer_one_goes_before(desk: Desk) -> None:
    service = desk.service
    service.register()
    service.announce("1.1.0")
    update = service.announce("1.2.0")
    service.beat()
    service.report(update, status(1, "rolled_back", version="1.2.0", detail=HOSTILE))
    page = shown(desk)
    under_way = part(page, "under-way")
    assert f'href="/updates/{update}"' in under_way
    assert "1.1.0" not in under_way
    assert "1 went back to the release before" in plain(under_way)
    attention = part(page, "attention")
    assert f'href="/devices/{DEVICE}">kitchen</a> went back from 1.2.0 to the release before' in attention
    assert HOSTILE not in page
    service.steer(update, "halt")
    assert "halted by key:test operator" in plain(part(shown(desk), "under-way"))
    service.steer(update, "withdraw")
    assert "1.1.0" in part(shown(desk), "under-way")


def test_what_devices_call_themselves_is_only_text(desk: Desk) -> None:
    desk.service.register(Preset(approval=True), hostname=HOSTILE)
    page = shown(desk)
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in part(page, "attention")


def test_charts_hold_the_history_as_data_and_as_a_table(desk: Desk) -> None:
    service = desk.service
    service.register()
    for version in ("1.0.0", "1.0.0", "1.1.0"):
        service.beat(version)
        housekeeping.tick(service.app.extensions[KEY])
        service.now += timedelta(hours=2)
    page = shown(desk, query="?period=2d")
    figure = part(page, "chart-versions")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', figure, re.DOTALL)[1])  # type: ignore[index]
    series = {one["name"]: [value for value in one["values"] if value is not None] for one in data["series"]}
    assert series == {"1.1.0": [0, 0, 1, 1], "1.0.0": [1, 1, 0, 0]}
    table = figure[figure.index("<table") :]
    assert plain(table).startswith("Versions over time, the newest first Time 1.1.0 1.0.0 29 Mar 2026, 07:30 UTC 1 0")
    assert table.count("<tr>") == 5
    assert '<a href="/?period=2d" aria-current="true">' in page


def test_an_unknown_period_is_the_usual_one(desk: Desk) -> None:
    assert 'href="/?period=2w" aria-current="true"' in shown(desk, query="?period=%3Cscript%3E")


@pytest.mark.parametrize(("role", "sees"), [("admin", True), ("operator", False), ("viewer", False)])
def test_keys_that_expire_are_told_to_who_can_make_new_ones(desk: Desk, role: str, sees: bool) -> None:
    desk.service.key("builder", expires_in=timedelta(days=3))
    told = "An API key of the role builder expires in 3 d" in plain(part(shown(desk, role), "attention"))
    assert told is sees


def test_an_old_signature_is_told_with_what_mends_it(desk: Desk) -> None:
    suite = desk.service.settings.repository / "trixie" / "dists" / "stable"
    suite.mkdir(parents=True)
    (suite / "InRelease").write_text("Suite: stable\nDate: Sun, 01 Mar 2026 00:00:00 UTC\n")
    attention = plain(part(shown(desk), "attention"))
    assert "no updates repository trixie/dists/stable : it was signed at 2026-03-01T00:00:00Z" in attention
    assert "pkgbuild resign" in attention


def test_each_live_part_can_be_told_from_the_others_and_styles_are_in_files(desk: Desk) -> None:
    page = shown(desk)
    live = re.findall(r"<section id=\"([\w-]+)\"[^>]*data-live=", page)
    assert live == ["totals", "attention", "under-way", "over-time", "waiting"]
    assert "style=" not in page
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page)
