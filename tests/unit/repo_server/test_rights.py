"""What callers' credentials are worth; which endpoint each of them may call is in test_matrix.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat, status, statuses
from tests.unit.repo_server.conftest import Service

UPDATE = "0195e0c8-0000-7000-8000-00000000000f"
OF_A_DEVICE: list[tuple[str, Any]] = [
    (f"/api/v1/devices/{DEVICE}/heartbeat", heartbeat()),
    (f"/api/v1/devices/{DEVICE}/updates/{UPDATE}/status", statuses(status(1, "refreshed"))),
]


@pytest.mark.parametrize(("path", "body"), OF_A_DEVICE)
def test_only_the_device_itself_speaks_for_itself(service: Service, path: str, body: Any) -> None:
    service.register()
    service.register(id=OTHER_DEVICE, token="other")
    before = service.dump()
    admin, enrollment = service.key("admin"), service.enrollment_token()
    before = service.dump()
    for sent in ({}, {"token": "wrong"}, {"token": "other"}, {"token": enrollment}, {"key": admin}):
        answer = service.request("POST", path, body, **sent)
        assert answer.status_code == 401
    basic = service.request("POST", path, body, auth=(DEVICE, TOKEN))
    assert basic.status_code == 401
    assert service.dump() == before
    assert service.request("POST", path, body, token=TOKEN).status_code in {200, 404}


def test_an_unregistered_device_is_answered_as_a_wrong_token_is(service: Service) -> None:
    service.register()
    wrong = service.request("POST", OF_A_DEVICE[0][0], heartbeat(), token="wrong")
    unknown = service.request("POST", OF_A_DEVICE[0][0].replace(DEVICE, OTHER_DEVICE), heartbeat(), token=TOKEN)
    assert (wrong.status_code, wrong.json) == (unknown.status_code, unknown.json)


def test_no_token_whatever_opens_an_unregistered_device(service: Service) -> None:
    """The hash that an unknown device is compared with must not be a way in."""
    for token in ("nobody", "", "-"):
        assert service.request("POST", OF_A_DEVICE[0][0], heartbeat(), token=token).status_code == 401


def test_revoked_secrets_are_unknown(service: Service) -> None:
    key, token = service.key("admin"), service.enrollment_token()
    for table in ("api_keys", "enrollment_tokens"):
        revoke = f"UPDATE {table} SET revoked_at = '2026-03-29T01:30:00Z'"
        service.db.write(lambda connection: connection.execute(revoke))  # noqa: B023
    assert service.request("GET", "/api/v1/fleet", key=key).status_code == 401
    assert service.request("POST", "/api/v1/devices/", {}, token=token).status_code == 401


def test_registration_takes_enrollment_tokens_only(service: Service) -> None:
    service.register()
    for sent in ({}, {"token": TOKEN}, {"key": service.key("admin")}, {"token": service.key("admin")}):
        assert service.request("POST", "/api/v1/devices/", {}, **sent).status_code == 401


@pytest.mark.parametrize("auth", [None, (DEVICE, "wrong"), (OTHER_DEVICE, TOKEN), ("", TOKEN), (DEVICE, "")])
def test_the_repository_asks_strangers_for_basic_credentials(service: Service, auth: tuple[str, str] | None) -> None:
    service.register()
    answer = service.request("GET", "/repo/trixie/dists/stable/InRelease", auth=auth)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="pi-ota"'


def test_the_repository_knows_its_devices(service: Service) -> None:
    service.register()
    assert service.request("GET", "/repo/trixie/dists/stable/InRelease", auth=(DEVICE, TOKEN)).status_code == 404


def test_secrets_are_stored_as_hashes_only(service: Service) -> None:
    secrets = [service.key("admin"), service.enrollment_token()]
    service.register()
    dump = "\n".join(service.dump())
    assert not [secret for secret in [*secrets, TOKEN] if secret in dump]
