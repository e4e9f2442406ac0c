"""A device's page and what can be done there."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server.answers import Heartbeat
from repo_server.desk.hours import HOURS, by_hour
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, announcement, registration, status
from tests.unit.repo_server.desk.conftest import Desk

PAGE = f"/devices/{DEVICE}"
NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def column(desk: Desk, name: str, device: str = DEVICE) -> object:
    query = f"SELECT {name} FROM devices WHERE id = ?"
    return desk.service.db.connection().execute(query, (device,)).fetchone()[0]


def audited(desk: Desk) -> list[tuple[str, str]]:
    rows = desk.service.db.connection().execute("SELECT who, action FROM audit_log WHERE subject = ?", (DEVICE,))
    return [tuple(row) for row in rows]


def test_a_device_s_page_tells_what_its_gate_waits_for_and_what_it_went_through(desk: Desk) -> None:
    service = desk.service
    service.register(hostname="<script>alert(1)</script>")
    update = service.announce()
    gate = {"decision": "defer", "reason": "OUTSIDE_WINDOW", "retry_at": "2026-03-30T00:00:00Z"}
    service.beat(gate=gate, idle_seconds=7_200, timezone="Europe/Berlin")
    assert service.report(
        update, status(1, "refreshed"), status(2, "failed", detail="no room", log_tail="<b>last")
    ).json
    page = desk.as_("viewer").get(PAGE)
    assert page.status_code == 200
    for words in (
        "&lt;script&gt;alert(1)&lt;/script&gt;", "Waiting for 02:00", "Europe/Berlin", "OUTSIDE_WINDOW", "no room",
        "&lt;b&gt;last", "2 h", f"/updates/{update}",
    ):  # fmt: skip
        assert words in page.text, words
    assert "<script>alert" not in page.text
    assert "data-dialog" not in page.text
    assert f"{PAGE}/expedite" in desk.as_("operator").get(PAGE).text


def test_a_device_that_is_not_there(desk: Desk) -> None:
    assert desk.as_("operator").get(f"/devices/{OTHER_DEVICE}").status_code == 404
    for verb in ("hold", "release", "channel", "expedite", "approve", "dismiss", "not-cloned", "rotate", "retire"):
        assert desk.as_("operator").get(f"/devices/{OTHER_DEVICE}/{verb}").status_code == 404


def test_holding_asks_why_and_is_audited(desk: Desk) -> None:
    desk.service.register()
    browser = desk.as_("operator")
    refused = browser.post(f"{PAGE}/hold", {"hold": "  "})
    assert (refused.status_code, "Say why" in refused.text) == (422, True)
    long = browser.post(f"{PAGE}/hold", {"hold": "x" * 5_000})
    assert (long.status_code, "x" * 5_000 in long.text) == (422, True)  # what was typed is kept
    assert column(desk, "hold") is None
    assert browser.post(f"{PAGE}/hold", {"hold": "guests"}).headers["Location"] == PAGE
    assert column(desk, "hold") == "guests"
    assert audited(desk)[-1] == ("key:test operator", "device.change")
    page = browser.get(PAGE).text
    assert "is held" in page
    assert f"{PAGE}/release" in page
    browser.post(f"{PAGE}/release")
    assert column(desk, "hold") is None


def test_name_group_channel_and_zone(desk: Desk) -> None:
    desk.service.register()
    browser = desk.as_("operator")
    given = {"name": "Lobby", "group": "canary", "channel": "beta", "timezone": "Europe/Paris"}
    assert browser.post(f"{PAGE}/channel", given).status_code == 303
    assert [column(desk, name) for name in ("name", "group_name", "channel", "timezone_override")] == list(
        given.values()
    )
    assert 'value="Lobby"' in browser.get(f"{PAGE}/channel").text
    wrong = browser.post(f"{PAGE}/channel", given | {"timezone": "Mars/Olympus"})
    assert (wrong.status_code, 'value="Mars/Olympus"' in wrong.text) == (422, True)
    assert browser.post(f"{PAGE}/channel", given | {"channel": ""}).status_code == 422
    assert browser.post(f"{PAGE}/channel", {"channel": "stable"}).status_code == 303
    assert [column(desk, name) for name in ("name", "group_name", "channel")] == [None, None, "stable"]


def test_an_update_that_failed_is_tried_once_more(desk: Desk) -> None:
    service, browser = desk.service, desk.as_("operator")
    service.register()
    nothing = browser.post(f"{PAGE}/expedite")
    assert (nothing.status_code, "Neither a wave nor a failure" in nothing.text) == (409, True)
    update = service.announce()
    service.beat()
    service.report(update, status(1, "refreshed"), status(2, "failed"))
    assert "sample-assistant 1.1.0" in browser.get(f"{PAGE}/expedite").text
    assert browser.post(f"{PAGE}/expedite").status_code == 303
    assert service.beat()["offer"]["expedited"] is True


def test_a_device_that_waits_for_its_wave_need_not(desk: Desk) -> None:
    service, browser = desk.service, desk.as_("operator")
    service.register()
    waves = [{"group": "canary", "dwell_seconds": 86_400}, {"percent": 100}]
    service.announce(rollout={"waves": waves, "failure_limit": None})
    assert service.beat()["withheld"]["reason"] == "NOT_IN_WAVE"
    page = browser.get(PAGE).text
    assert "1.1.0 is kept back" in page
    assert "its wave is not open yet" in page
    assert f"{PAGE}/expedite" in page
    assert browser.post(f"{PAGE}/expedite").status_code == 303
    assert "1.1.0 may be installed" in browser.get(PAGE).text
    assert service.beat()["offer"]["version"] == "1.1.0"


@pytest.mark.parametrize("what", ["another target", "lower", "paused", "succeeded"])
def test_nothing_is_expedited_that_expediting_does_not_bring(desk: Desk, what: str) -> None:
    """What the server would grant decides, not which release was announced last."""
    service, browser = desk.service, desk.as_("operator")
    service.register()
    packages = [package | {"debian": "sid"} for package in announcement("1.1.0")["packages"]]
    update = service.announce(
        "0.9.0" if what == "lower" else "1.1.0", **({"packages": packages} if what == "another target" else {})
    )
    service.beat()
    if what == "paused":
        service.steer(update, "pause")
    if what == "succeeded":
        for number, word in enumerate(("refreshed", "installing", "succeeded"), start=1):
            service.report(update, status(number, word))
        service.beat("1.1.0")
    assert f"{PAGE}/expedite" not in browser.get(PAGE).text
    refused = browser.post(f"{PAGE}/expedite")
    assert (refused.status_code, "Neither a wave nor a failure" in refused.text) == (409, True)


def test_letting_in_and_turning_away(desk: Desk) -> None:
    service, browser = desk.service, desk.as_("operator")
    service.register(Preset(approval=True))
    assert column(desk, "state") == "pending"
    assert "waits for approval" in browser.get(PAGE).text
    assert browser.post(f"{PAGE}/approve").status_code == 303
    assert column(desk, "state") == "active"
    token = service.enrollment_token()
    again = {"id": DEVICE, "token": "another"}

    assert service.request("POST", "/api/v1/devices/", registration(**again), token=token).status_code == 409
    assert "asks for a new token" in browser.get(PAGE).text
    changed = browser.post(f"{PAGE}/approve", {"fingerprint": "0" * 16})
    assert (changed.status_code, "look at the device again" in changed.text) == (409, True)
    assert browser.post(f"{PAGE}/dismiss").status_code == 303
    assert column(desk, "pending_token_sha256") is None


def test_rotating_retiring_and_exporting(desk: Desk) -> None:
    service, browser = desk.service, desk.as_("operator")
    service.register()
    service.beat()
    assert browser.post(f"{PAGE}/rotate").status_code == 303
    assert column(desk, "rotation_requested_at") is not None
    export = browser.get(f"{PAGE}/export")
    assert export.headers["Content-Disposition"].startswith("attachment")
    assert export.get_json()["device"]["id"] == DEVICE
    assert browser.post(f"{PAGE}/retire", {"erase": "true"}).status_code == 303
    assert (column(desk, "state"), column(desk, "last_heartbeat_id")) == ("decommissioned", None)
    page = browser.get(PAGE).text
    assert "retired" in page
    assert f"{PAGE}/hold" not in page
    assert browser.post(f"{PAGE}/hold", {"hold": "late"}).status_code == 410


def beat(at: datetime, idle: int | None) -> Heartbeat:
    nothing = dict.fromkeys(
        ("sent_at", "boot_id", "clock_synchronised", "uptime_seconds", "agent_version", "installed", "active", "gate",
         "update")
    )  # fmt: skip
    return Heartbeat(received_at=at, idle_seconds=idle, reboot_required=False, **nothing)


@pytest.mark.parametrize(
    ("beats", "used", "unused"),
    [
        ([], set(), set()),
        ([beat(NOW, None)], set(), set()),
        ([beat(NOW, 60)], {HOURS - 1}, set()),
        ([beat(NOW, 7_200)], {HOURS - 3}, {HOURS - 2, HOURS - 1}),
        ([beat(NOW, 7 * 86_400)], set(), set(range(HOURS))),
        ([beat(NOW - timedelta(hours=5), 60), beat(NOW, 5 * 3_600 + 60)], {HOURS - 6}, set(range(HOURS - 5, HOURS))),
    ],
)
def test_hours_of_use(beats: list[Heartbeat], used: set[int], unused: set[int]) -> None:
    hours = by_hour(beats, NOW)
    assert {place for place, hour in enumerate(hours) if hour.used} == used
    assert {place for place, hour in enumerate(hours) if hour.used is False} == unused


@given(st.lists(st.tuples(st.integers(0, 100_000), st.one_of(st.none(), st.integers(0, 10**9)))))
def test_there_are_always_as_many_hours_one_after_the_other(given: list[tuple[int, int | None]]) -> None:
    hours = by_hour([beat(NOW - timedelta(seconds=ago), idle) for ago, idle in given], NOW)
    assert len(hours) == HOURS
    assert all(b.begins - a.begins == timedelta(hours=1) for a, b in itertools.pairwise(hours))
    assert hours[-1].begins <= NOW < hours[-1].begins + timedelta(hours=1)
