"""Devices are let in: presets, approval, and an id that comes back with another token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from repo_server.config import Settings
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat, registration, status
from tests.unit.repo_server.conftest import Service, serving

DEVICES = "/api/v1/devices/"
ONE = f"{DEVICES}{DEVICE}"
FILE = "/repo/trixie/dists/stable/InRelease"


def register(service: Service, enrollment: str, **given: Any) -> TestResponse:
    return service.request("POST", DEVICES, registration(**given), token=enrollment)


def shown(service: Service) -> Any:
    return service.request("GET", ONE, key=service.key("viewer")).get_json()


def listed(service: Service, query: str) -> list[str]:
    page = service.request("GET", f"{DEVICES}?{query}", key=service.key("viewer")).get_json()
    return [item["id"] for item in page["items"]]


def audited(service: Service, action: str) -> list[tuple[str, str]]:
    rows = service.db.connection().execute("SELECT who, detail FROM audit_log WHERE action = ? ORDER BY id", (action,))
    return [tuple(row) for row in rows]


# Presets


def test_a_preset_channel_wins_over_what_the_device_asks_for(service: Service) -> None:
    token = service.enrollment_token(preset=Preset(group="attic", channel="beta"))
    assert register(service, token, channel="stable").get_json()["channel"] == "beta"
    assert (shown(service)["channel"], shown(service)["group"]) == ("beta", "attic")


def test_without_a_preset_the_device_has_the_channel_it_asks_for(service: Service) -> None:
    token = service.enrollment_token(preset=Preset(group="attic"))
    assert register(service, token, channel="beta").get_json()["channel"] == "beta"


# Approval


@pytest.fixture(params=["the token", "the server's setting"])
def asking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A service and an enrollment token with which devices have to be approved."""
    setting = request.param != "the token"
    with serving(Settings(state_dir=tmp_path / "asking", approve_devices=setting)) as service:
        yield service, service.enrollment_token(preset=Preset(approval=not setting))


def test_a_device_that_waits_may_say_how_it_is_and_nothing_else(asking: tuple[Service, str]) -> None:
    service, token = asking
    update = service.announce()
    for expected in (201, 200):
        answer = register(service, token)
        assert (answer.status_code, answer.get_json()["state"]) == (expected, "pending")
    answer = service.beat()
    assert (answer["state"], answer["offer"], answer["withheld"]) == ("pending", None, None)
    assert service.report(update, status(1, "refreshed")).status_code == 403
    refused = service.request("GET", FILE, auth=(DEVICE, TOKEN))
    assert (refused.status_code, refused.get_json()["error"]["kind"]) == (403, "forbidden")
    assert "approve" in refused.get_json()["error"]["message"]
    assert (listed(service, "state=pending"), listed(service, "state=active")) == ([DEVICE], [])
    assert service.request("GET", "/api/v1/fleet", key=service.key("viewer")).get_json()["devices"]["total"] == 0


def test_an_approved_device_has_everything_at_once(asking: tuple[Service, str]) -> None:
    service, token = asking
    service.announce()
    register(service, token)
    operator = service.key("operator")
    for _ in range(2):
        answer = service.request("POST", f"{ONE}/approve", key=operator)
        assert (answer.status_code, answer.get_json()["state"]) == (200, "active")
    answer = service.beat()
    assert (answer["state"], answer["offer"]["version"]) == ("active", "1.1.0")
    assert service.request("GET", FILE, auth=(DEVICE, TOKEN)).status_code == 404
    assert audited(service, "device.approve") == [
        ("key:test operator", '{"after": {"state": "active"}, "before": {"state": "pending"}}')
    ]


def test_a_device_that_waits_can_be_turned_away_for_good(asking: tuple[Service, str]) -> None:
    service, token = asking
    register(service, token)
    operator = service.key("operator")
    assert service.request("DELETE", ONE, key=operator).status_code == 204
    assert service.request("POST", f"{ONE}/approve", key=operator).status_code == 410
    assert service.request("POST", f"{ONE}/heartbeat", heartbeat(), token=TOKEN).status_code == 410


# The same id with another token


def test_another_token_waits_beside_the_old_one_until_an_operator_decides(service: Service) -> None:
    service.register()
    again = service.enrollment_token(uses=1)
    for _ in range(3):  # the device asks again and again; that costs one use and one entry
        answer = register(service, again, token="new")
        assert (answer.status_code, answer.get_json()["error"]["kind"]) == (409, "conflict")
        assert f"repo-server devices approve {DEVICE}" in answer.get_json()["error"]["message"]
    assert len(audited(service, "device.ask_approval")) == 1
    service.beat()  # the old token is as good as ever
    assert service.request("POST", f"{ONE}/heartbeat", heartbeat(), token="new").status_code == 401
    waits = shown(service)["reenrollment"]
    assert waits["requested_at"] == "2026-03-29T01:30:00Z"
    assert (listed(service, "reenrollment=true"), listed(service, "reenrollment=false")) == ([DEVICE], [])
    query = f"?fingerprint={waits['fingerprint']}"
    approved = service.request("POST", f"{ONE}/approve{query}", key=service.key("operator"))
    assert (approved.status_code, approved.get_json()["reenrollment"]) == (200, None)
    # It asks once more with a token that is used up by now, as a lost answer would.
    assert register(service, again, token="new").status_code == 200
    service.beat(token="new")
    assert service.request("POST", f"{ONE}/heartbeat", heartbeat(), token=TOKEN).status_code == 401
    assert service.request("GET", FILE, auth=(DEVICE, TOKEN)).status_code == 401


def test_a_device_that_was_flashed_anew_begins_anew(service: Service) -> None:
    """It counts its statuses from one again, has nothing installed, and may be of another Debian release."""
    service.register()
    update = service.announce()
    service.beat()
    service.report(update, *[status(n, word) for n, word in enumerate(("refreshed", "failed"), 500)])
    token = service.enrollment_token()
    register(service, token, token="new", debian="bookworm", hostname="hall")
    service.request("POST", f"{ONE}/approve", key=service.key("operator"))
    assert register(service, token, token="new", debian="bookworm", hostname="hall").status_code == 200
    assert (shown(service)["debian"], shown(service)["hostname"]) == ("bookworm", "hall")
    assert service.beat(None, token="new")["offer"] is None  # there is nothing for bookworm
    register(service, token, token="new")
    assert service.beat(None, token="new")["offer"]["version"] == "1.1.0"
    assert service.report(update, status(1, "refreshed"), token="new").get_json() == {"acknowledged": 1}
    page = service.request("GET", f"/api/v1/updates/{update}/devices", key=service.key("viewer")).get_json()
    assert [(item["status"], item["sequence"]) for item in page["items"]] == [("refreshed", 1)]


def test_no_other_token_is_approved_than_the_one_that_was_seen(service: Service) -> None:
    service.register()
    operator = service.key("operator")
    register(service, service.enrollment_token(), token="the device's")
    seen = shown(service)["reenrollment"]["fingerprint"]
    register(service, service.enrollment_token(), token="a stranger's")
    before = service.dump()
    for fingerprint in (seen, "0" * 16):
        answer = service.request("POST", f"{ONE}/approve?fingerprint={fingerprint}", key=operator)
        assert answer.status_code == 409
    assert service.dump() == before
    service.request("DELETE", f"{ONE}/reenrollment", key=operator)
    assert service.request("POST", f"{ONE}/approve?fingerprint={seen}", key=operator).status_code == 409
    service.beat()


def test_a_dismissed_token_is_forgotten_and_the_device_stays(service: Service) -> None:
    service.register()
    register(service, service.enrollment_token(), token="a stranger's")
    for _ in range(2):
        assert service.request("DELETE", f"{ONE}/reenrollment", key=service.key("operator")).status_code == 204
    assert len(audited(service, "device.dismiss")) == 1
    assert shown(service)["reenrollment"] is None
    answer = service.request("POST", f"{ONE}/approve", key=service.key("operator"))
    assert (answer.status_code, answer.get_json()["state"]) == (200, "active")
    service.beat()


def test_a_worthless_enrollment_token_asks_for_no_approval(service: Service) -> None:
    service.register()
    worthless = service.enrollment_token(expires_in=timedelta(seconds=1))
    service.now += timedelta(seconds=1)
    before = service.dump()
    assert register(service, worthless, token="new").status_code == 401
    assert service.dump() == before


def test_a_decommissioned_id_never_comes_back(service: Service) -> None:
    service.register()
    service.request("DELETE", ONE, key=service.key("operator"))
    for token in (TOKEN, "new"):
        assert register(service, service.enrollment_token(), token=token).status_code == 410
    assert shown(service)["reenrollment"] is None


@pytest.mark.parametrize(("method", "path"), [("POST", "approve"), ("DELETE", "reenrollment")])
def test_an_unknown_device_is_not_found(service: Service, method: str, path: str) -> None:
    answer = service.request(method, f"{DEVICES}{OTHER_DEVICE}/{path}", key=service.key("operator"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["fingerprint=", "fingerprint=XYZ", "token=x"])
def test_a_wrong_fingerprint_is_refused_by_name(service: Service, query: str) -> None:
    service.register()
    answer = service.request("POST", f"{ONE}/approve?{query}", key=service.key("operator"))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(query.partition("=")[0])
