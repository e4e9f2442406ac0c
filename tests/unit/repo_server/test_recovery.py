"""Devices that a restored server does not know come back with their own token, when an admin has opened the door."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat, registration
from tests.unit.repo_server.conftest import Service

DEVICES = "/api/v1/devices/"
ONE = f"{DEVICES}{DEVICE}"
TOKENS = "/api/v1/enrollment-tokens/"
RECOVERY = {"name": "after the restore", "recovery": True, "uses": 2, "expires_at": "2026-03-30T01:30:00Z"}


def open_recovery(service: Service, **given: Any) -> Any:
    answer = service.request("POST", TOKENS, RECOVERY | given, key=service.key("admin"))
    assert answer.status_code == 201, answer.json
    return answer.get_json()


def comes_back(service: Service, token: str = TOKEN, **given: Any) -> TestResponse:
    """A device registers with its own token."""
    return service.request("POST", DEVICES, registration(**{"token": token, **given}), token=token)


def test_a_device_that_is_not_known_waits_for_approval_and_is_back(service: Service) -> None:
    opened = open_recovery(service)
    assert (opened["secret"], opened["approval"], opened["recovery"]) == (None, True, True)
    for status in (201, 200):  # the answer may be lost
        answer = comes_back(service, channel="beta")
        assert (answer.status_code, answer.get_json()["state"]) == (status, "pending")
    assert service.beat()["state"] == "pending"
    assert service.request("GET", "/repo/trixie/x", auth=(DEVICE, TOKEN)).status_code == 403
    service.request("POST", f"{ONE}/approve", key=service.key("operator"))
    assert (service.beat()["state"], service.beat()["channel"]) == ("active", "beta")
    shown = service.request("GET", TOKENS, key=service.key("admin")).get_json()["items"]
    assert [item["uses"] for item in shown if item["recovery"]] == [1]
    entry = service.db.connection().execute("SELECT who, action FROM audit_log WHERE subject = ?", (DEVICE,)).fetchone()
    assert tuple(entry) == (f"device:{DEVICE}", "device.come_back")


@pytest.mark.parametrize("closed", ["never opened", "over", "revoked", "used up"])
def test_without_an_open_recovery_a_stranger_stays_one(service: Service, closed: str) -> None:
    if closed != "never opened":
        opened = open_recovery(service, uses=1)
        if closed == "over":
            service.now += timedelta(days=1)
        elif closed == "revoked":
            service.request("DELETE", f"{TOKENS}{opened['id']}", key=service.key("admin"))
        else:
            assert comes_back(service, "another-token", id=OTHER_DEVICE).status_code == 201
    before = service.dump()
    answer = comes_back(service)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="pi-ota"')
    assert service.dump() == before


def test_who_does_not_show_the_token_that_he_registers_is_refused(service: Service) -> None:
    open_recovery(service)
    before = service.dump()
    answer = service.request("POST", DEVICES, registration(token="one"), token="another")
    assert answer.status_code == 401
    assert service.dump() == before


def test_a_known_id_with_another_token_stays_what_it_is(service: Service) -> None:
    """Only an enrollment token may ask for that: anyone can make up a token of his own."""
    service.register()
    open_recovery(service)
    before = service.dump()
    assert comes_back(service, "a-stranger-s").status_code == 401
    assert service.dump() == before
    assert comes_back(service).get_json()["state"] == "active"
    service.request("DELETE", ONE, key=service.key("operator"))
    assert comes_back(service).status_code == 410


def test_enrollment_tokens_work_as_ever_meanwhile(service: Service) -> None:
    open_recovery(service)
    service.register()
    assert service.beat()["state"] == "active"
    assert service.request("POST", f"{DEVICES}{OTHER_DEVICE}/heartbeat", heartbeat(), token=TOKEN).status_code == 401


def test_the_row_s_own_secret_is_worth_nothing(service: Service) -> None:
    secret = service.enrollment_token(uses=1, expires_in=timedelta(days=1), preset=Preset(recovery=True))
    before = service.dump()
    assert service.request("POST", DEVICES, registration(), token=secret).status_code == 401
    assert service.dump() == before


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"uses": None}, "uses"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": "2026-05-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_a_recovery_has_bounds(service: Service, given: Any, names: str) -> None:
    key = service.key("admin")
    before = service.dump()
    answer = service.request("POST", TOKENS, RECOVERY | given, key=key)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(f"{names}:")
    assert service.dump() == before


def test_the_audit_log_says_that_it_was_opened(service: Service) -> None:
    opened = open_recovery(service)
    row = service.db.connection().execute("SELECT detail FROM audit_log WHERE subject = ?", (opened["id"],)).fetchone()
    assert json.loads(row["detail"])["after"]["recovery"] == 1
