"""A device whose card was copied is flagged, shown, audited once, and cleared by an operator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.fleet_bodies import DEVICE, registration
from tests.unit.repo_server.conftest import Service

ONE = f"/api/v1/devices/{DEVICE}"
A, B = "7a3f1c55-6f0c-4f3e-9f2c-00000000000a", "7a3f1c55-6f0c-4f3e-9f2c-00000000000b"


def turns(service: Service, times: int, **given: Any) -> None:
    """Two machines, up for days, speak every five minutes each."""
    for number in range(times):
        service.now += timedelta(seconds=150)
        service.beat(boot_id=(A, B)[number % 2], uptime_seconds=500_000 + 150 * number, **given)


def shown(service: Service) -> Any:
    return service.request("GET", ONE, key=service.key("viewer")).get_json()["cloned_suspected_at"]


def listed(service: Service, cloned: str) -> list[str]:
    path = f"/api/v1/devices/?cloned={cloned}"
    page = service.request("GET", path, key=service.key("viewer")).get_json()
    return [item["id"] for item in page["items"]]


def audited(service: Service) -> list[tuple[str, str]]:
    rows = service.db.connection().execute(
        "SELECT who, detail FROM audit_log WHERE action = 'device.cloned_suspected' ORDER BY id"
    )
    return [tuple(row) for row in rows]


def test_two_machines_are_flagged_once(service: Service) -> None:
    service.register()
    turns(service, 3)
    assert (shown(service), listed(service, "true"), listed(service, "false")) == (None, [], [DEVICE])
    turns(service, 21)
    assert shown(service) == "2026-03-29T01:42:30Z"
    assert (listed(service, "true"), listed(service, "false")) == ([DEVICE], [])
    assert audited(service) == [("server", f'{{"after": {{"boots": ["{A}", "{B}"]}}}}')]


def test_a_flag_stops_nothing(service: Service) -> None:
    """Both are somebody's assistant, and a suspicion is none of their fault."""
    service.register()
    service.announce()
    turns(service, 6)
    assert shown(service) is not None
    assert service.beat()["offer"]["version"] == "1.1.0"


def test_an_operator_clears_it_and_it_comes_back_where_it_goes_on(service: Service) -> None:
    service.register()
    turns(service, 6)
    operator = service.key("operator")
    answer = service.request("PATCH", ONE, {"cloned_suspected_at": None}, key=operator)
    assert (answer.status_code, answer.get_json()["cloned_suspected_at"]) == (200, None)
    turns(service, 2)
    assert shown(service) is None
    turns(service, 6)
    assert shown(service) is not None
    assert len(audited(service)) == 2


def test_it_cannot_be_set_by_hand(service: Service) -> None:
    service.register()
    given = {"cloned_suspected_at": "2026-03-29T01:30:00Z"}
    answer = service.request("PATCH", ONE, given, key=service.key("operator"))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith("cloned_suspected_at:")


def test_another_token_that_is_approved_clears_it(service: Service) -> None:
    service.register()
    turns(service, 6)
    service.request("POST", "/api/v1/devices/", registration(token="new"), token=service.enrollment_token())
    service.request("POST", f"{ONE}/approve", key=service.key("operator"))
    assert shown(service) is None


@pytest.mark.parametrize("off", [5, 3600])
def test_restarts_flag_nothing(service: Service, off: int) -> None:
    service.register()
    for boot in range(12):
        service.now += timedelta(seconds=off)
        for uptime in (2, 302):
            service.beat(boot_id=f"7a3f1c55-6f0c-4f3e-9f2c-{boot:012d}", uptime_seconds=uptime)
            service.now += timedelta(seconds=300)
    assert shown(service) is None
