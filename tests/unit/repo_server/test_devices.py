"""Registration, the device list, and what operators change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat, registration
from tests.unit.repo_server.conftest import Service

DEVICES = "/api/v1/devices/"
ONE = f"{DEVICES}{DEVICE}"


def test_a_device_registers_and_a_lost_answer_costs_nothing(service: Service) -> None:
    token = service.enrollment_token(uses=1)
    expected = {"id": DEVICE, "channel": "stable", "state": "active", "server_time": "2026-03-29T01:30:00Z"}
    for status in (201, 200, 200):
        answer = service.request("POST", DEVICES, registration(), token=token)
        assert (answer.status_code, answer.json) == (status, expected)


def test_a_registration_is_logged_with_the_name_of_its_token(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        service.register()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("POST /api/v1/devices/ 201 ")
    assert " who=enrollment_token:test client=" in line


@pytest.mark.parametrize("spoiled", ["used up", "expired", "unknown"])
def test_an_enrollment_token_that_is_no_longer_good_registers_nobody(service: Service, spoiled: str) -> None:
    token = service.enrollment_token(uses=1, expires_in=timedelta(hours=1))
    if spoiled == "used up":
        assert service.request("POST", DEVICES, registration(), token=token).status_code == 201
    elif spoiled == "expired":
        service.now += timedelta(hours=1)
    else:
        token = "pie_guessed"
    before = service.dump()
    answer = service.request("POST", DEVICES, registration(id=OTHER_DEVICE, token="other"), token=token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert service.dump() == before


def test_the_device_list_shows_what_the_contract_names(service: Service) -> None:
    service.register(channel="beta", model="Raspberry Pi 4 Model B Rev 1.4")
    gate = {"decision": "defer", "reason": "RECENT_ACTIVITY", "retry_at": "2026-03-29T04:30:00+02:00"}
    service.beat("1.1.0", active="1.0.0", gate=gate, update={"id": DEVICE, "status": "deferred"})
    answer = service.request("GET", DEVICES, key=service.key("viewer"))
    expected = {
        "id": DEVICE, "name": None, "hostname": "kitchen", "state": "active", "group": None, "channel": "beta",
        "timezone": "Europe/Berlin", "timezone_set": None, "assistant": "sample-assistant", "installed": "1.1.0",
        "active": "1.0.0", "agent_version": "0.1.0", "debian": "trixie", "architecture": "arm64", "online": True,
        "presence": "online",
        "last_seen_at": "2026-03-29T01:30:00Z", "registered_at": "2026-03-29T01:30:00Z", "idle_seconds": 120,
        "gate": {**gate, "retry_at": "2026-03-29T02:30:00Z"}, "update": {"id": DEVICE, "status": "deferred"},
        "reboot_required": False, "hold": None, "reenrollment": None,
        "cloned_suspected_at": None,
        "rotation": None,
    }  # fmt: skip
    assert answer.json == {"items": [expected], "next_cursor": None}
    assert service.request("GET", ONE, key=service.key("viewer")).json == expected


def test_a_device_is_online_until_it_misses_its_heartbeats(service: Service) -> None:
    service.register()
    key = service.key("viewer")

    def online() -> Any:
        return service.request("GET", ONE, key=key).get_json()["online"]

    assert online() is False
    service.beat()
    service.now += timedelta(seconds=900)
    assert online() is True
    assert service.request("GET", "/api/v1/fleet", key=key).get_json()["devices"]["online"] == 1
    service.now += timedelta(seconds=1)
    assert online() is False
    assert service.request("GET", "/api/v1/fleet", key=key).get_json()["devices"]["online"] == 0


def test_paging_visits_every_device_once(service: Service) -> None:
    ids = [f"0195e0c8-0000-7000-8000-0000000000{number:02x}" for number in range(7)]
    for one in ids:
        service.register(id=one, token=one)
    key, seen, path = service.key("viewer"), [], f"{DEVICES}?limit=3"
    while path:
        page = service.request("GET", path, key=key).get_json()
        seen.append([item["id"] for item in page["items"]])
        path = f"{DEVICES}?limit=3&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == [ids[:3], ids[3:6], ids[6:]]


@pytest.mark.parametrize("cursor", ["%%%", "_", "x" * 201])
def test_a_cursor_that_is_not_ours_is_refused_by_name(service: Service, cursor: str) -> None:
    answer = service.request("GET", DEVICES, query_string={"cursor": cursor}, key=service.key("viewer"))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith("cursor:")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("channel=beta", True), ("channel=stable", False), ("group=beds", True), ("group=other", False),
        ("version=1.0.0", True), ("version=1.1.0", False), ("online=true", True), ("online=false", False),
        ("status=deferred", True), ("status=failed", False), ("state=active", True), ("state=decommissioned", False),
    ],
)  # fmt: skip
def test_filters(service: Service, query: str, found: bool) -> None:
    service.register(channel="beta")
    service.request("PATCH", ONE, {"group": "beds"}, key=service.key("operator"))
    service.beat("1.0.0", update={"id": DEVICE, "status": "deferred"})
    page = service.request("GET", f"{DEVICES}?{query}", key=service.key("viewer")).get_json()
    assert [item["id"] for item in page["items"]] == ([DEVICE] if found else [])


def test_an_operator_changes_what_is_given_and_nothing_else(service: Service) -> None:
    service.register()
    operator = service.key("operator")
    given = {"name": "Küche", "group": "ground-floor", "timezone": "Asia/Kolkata", "hold": "until Sunday"}
    changed = service.request("PATCH", ONE, given, key=operator)
    assert changed.status_code == 200
    assert {name: changed.get_json()[name] for name in ("name", "group", "hold")} == {
        name: given[name] for name in ("name", "group", "hold")
    }
    # What the device goes by is what it says itself; its own settings may not let the server's zone win.
    assert (changed.get_json()["timezone_set"], changed.get_json()["timezone"]) == ("Asia/Kolkata", "Europe/Berlin")
    assert changed.get_json()["channel"] == "stable"
    cleared = service.request(
        "PATCH", ONE, {"hold": None, "timezone": None, "channel": "beta"}, key=operator
    ).get_json()
    assert (cleared["hold"], cleared["timezone_set"], cleared["channel"]) == (None, None, "beta")
    assert cleared["name"] == "Küche"
    entries = service.db.connection().execute(
        "SELECT who, action, subject FROM audit_log WHERE action = 'device.change'"
    )
    assert [tuple(entry) for entry in entries] == [("key:test operator", "device.change", DEVICE)] * 2


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"channel": None}, "channel"), ({"timezone": "Mars/Olympus"}, "timezone"), ({"name": "a\nb"}, "name"),
        ({"name": ""}, "name"), ({"colour": "red"}, "colour"), ({"hold": "x" * 201}, "hold"), ({"hold": True}, "hold"),
    ],
)  # fmt: skip
def test_a_wrong_change_is_refused_by_name(service: Service, given: dict[str, Any], names: str) -> None:
    service.register()
    key = service.key("operator")
    before = service.dump()
    answer = service.request("PATCH", ONE, given, key=key)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(f"{names}:")
    assert service.dump() == before


def test_a_decommissioned_device_is_told_so_everywhere_at_once(service: Service) -> None:
    service.register()
    service.beat()
    update = service.announce()
    operator = service.key("operator")
    for _ in range(2):
        assert service.request("DELETE", ONE, key=operator).status_code == 204
    answers = [
        service.request("POST", f"{ONE}/heartbeat", heartbeat(), token=TOKEN),
        service.report(update),
        service.request("POST", DEVICES, registration(), token=service.enrollment_token()),
        service.request("GET", "/repo/trixie/dists/stable/InRelease", auth=(DEVICE, TOKEN)),
        service.request("PATCH", ONE, {"name": "x"}, key=operator),
    ]
    assert [answer.status_code for answer in answers] == [410] * 5
    assert {answer.get_json()["error"]["kind"] for answer in answers} == {"gone"}
    shown = service.request("GET", ONE, key=operator).get_json()
    assert (shown["state"], shown["online"]) == ("decommissioned", False)
    assert service.request("GET", DEVICES, key=operator).get_json()["items"] == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_device_is_not_found(service: Service, method: str) -> None:
    body = {"name": "x"} if method == "PATCH" else None
    answer = service.request(method, f"{DEVICES}{OTHER_DEVICE}", body, key=service.key("operator"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (404, "not_found")
