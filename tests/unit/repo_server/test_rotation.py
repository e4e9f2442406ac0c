"""A device's token is exchanged without a gap."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from werkzeug.test import TestResponse

from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat, registration
from tests.unit.repo_server.conftest import Service

ONE = f"/api/v1/devices/{DEVICE}"
FILE = "/repo/trixie/dists/stable/InRelease"


def rotate(service: Service, new: str, token: str = TOKEN) -> TestResponse:
    body = {"token_sha256": hashlib.sha256(new.encode()).hexdigest()}
    return service.request("POST", f"{ONE}/token", body, token=token)


def beats(service: Service, token: str) -> int:
    return service.request("POST", f"{ONE}/heartbeat", heartbeat(), token=token).status_code


def fetches(service: Service, token: str) -> int:
    return service.request("GET", FILE, auth=(DEVICE, token)).status_code


def shown(service: Service) -> Any:
    return service.request("GET", ONE, key=service.key("viewer")).get_json()["rotation"]


def actions(service: Service) -> list[tuple[str, str]]:
    rows = service.db.connection().execute("SELECT who, action FROM audit_log WHERE subject = ? ORDER BY id", (DEVICE,))
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("use", [beats, fetches])
def test_the_old_token_is_good_until_the_new_one_is_first_used(service: Service, use: Any) -> None:
    service.register()
    assert rotate(service, "new").status_code == 200
    good = {beats: 200, fetches: 404}
    for one, status in good.items():
        assert one(service, TOKEN) == status
    assert shown(service) == "waiting"
    assert use(service, "new") == good[use]
    assert (beats(service, TOKEN), fetches(service, TOKEN)) == (401, 401)
    assert (beats(service, "new"), fetches(service, "new")) == (200, 404)
    assert shown(service) is None
    assert actions(service)[1:] == [
        (f"device:{DEVICE}", "device.new_token"),
        (f"device:{DEVICE}", "device.use_new_token"),
    ]


def test_a_lost_answer_costs_nothing(service: Service) -> None:
    service.register()
    for _ in range(3):
        assert rotate(service, "new").status_code == 200
    assert beats(service, "new") == 200
    assert rotate(service, "new", token="new").status_code == 200  # the very last repeat
    assert beats(service, "new") == 200
    assert shown(service) is None
    assert len(actions(service)) == 3


def test_of_several_new_tokens_the_last_counts(service: Service) -> None:
    service.register()
    rotate(service, "first")
    rotate(service, "second")
    assert beats(service, "first") == 401
    assert beats(service, TOKEN) == 200
    assert beats(service, "second") == 200


def test_only_the_device_itself_exchanges_its_token(service: Service) -> None:
    service.register()
    service.register(id=OTHER_DEVICE, token="other")
    before = service.dump()
    assert rotate(service, "new", token="other").status_code == 401
    assert service.dump() == before


def test_a_device_that_waits_for_approval_has_no_token_to_exchange(service: Service) -> None:
    service.register(Preset(approval=True))
    assert rotate(service, "new").status_code == 403
    answer = service.request("POST", f"{ONE}/rotate-token", key=service.key("operator"))
    assert (answer.status_code, answer.get_json()["error"]["message"].split(";")[0]) == (409, "this device is pending")


def test_an_operator_asks_for_it_and_the_device_is_told_until_it_has_done_so(service: Service) -> None:
    service.register()
    operator = service.key("operator")
    for _ in range(2):
        answer = service.request("POST", f"{ONE}/rotate-token", key=operator)
        assert (answer.status_code, answer.get_json()["rotation"]) == (200, "requested")
    for _ in range(2):
        assert service.beat()["rotate_token"] is True
    rotate(service, "new")
    assert service.beat()["rotate_token"] is False
    assert service.beat(token="new")["rotate_token"] is False
    assert [action for _, action in actions(service)].count("device.ask_rotation") == 1


def test_a_lost_registration_answer_in_the_middle_is_still_one(service: Service) -> None:
    """A device that registers once more with its next token is no stranger."""
    service.register()
    rotate(service, "new")
    for token in (TOKEN, "new"):
        body = registration(token=token)
        assert service.request("POST", "/api/v1/devices/", body, token=service.enrollment_token()).status_code == 200


def test_an_approved_other_token_ends_both(service: Service) -> None:
    service.register()
    rotate(service, "new")
    service.request("POST", "/api/v1/devices/", registration(token="flashed"), token=service.enrollment_token())
    service.request("POST", f"{ONE}/approve", key=service.key("operator"))
    assert [beats(service, token) for token in (TOKEN, "new", "flashed")] == [401, 401, 200]


@pytest.mark.parametrize("given", [{}, {"token_sha256": "short"}, {"token_sha256": "0" * 64, "token": "x"}])
def test_a_wrong_body_is_refused_by_name(service: Service, given: Any) -> None:
    service.register()
    answer = service.request("POST", f"{ONE}/token", given, token=TOKEN)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith("token")


def test_nobody_asks_for_a_token_of_a_device_that_is_not_there(service: Service) -> None:
    assert service.request("POST", f"{ONE}/rotate-token", key=service.key("operator")).status_code == 404
