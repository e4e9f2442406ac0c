"""What the tests of rollouts tell of a small fleet over HTTP."""

from __future__ import annotations

from typing import Any

from tests.support.fleet_bodies import status
from tests.unit.repo_server.conftest import Service

HOUR = 3600
MANY = 40
"""Enough that half of them, by the hash of an update's random id, is never none or all of them."""
LIMIT = {"percent": 50, "minimum": 2}
CANARY: dict[str, Any] = {
    "waves": [{"group": "canary", "dwell_seconds": HOUR}, {"percent": 50, "dwell_seconds": HOUR}, {"percent": 100}],
    "failure_limit": LIMIT,
}


def device(number: int) -> str:
    return f"0195e0c8-0000-7000-8000-{number:012d}"


def fleet(service: Service, size: int) -> list[str]:
    """Devices with 1.0.0, each with its id as its token."""
    ids = [device(number) for number in range(1, size + 1)]
    for one in ids:
        service.register(id=one, token=one)
        service.beat(device=one, token=one)
    return ids


def to_group(service: Service, group: str | None, *ids: str) -> None:
    for one in ids:
        answer = service.request("PATCH", f"/api/v1/devices/{one}", {"group": group}, key=service.key("operator"))
        assert answer.status_code == 200


def beat(service: Service, one: str, installed: str | None = "1.0.0", **given: Any) -> Any:
    return service.beat(installed, device=one, token=one, **given)


def offered(service: Service, ids: list[str]) -> list[str]:
    return [one for one in ids if beat(service, one)["offer"] is not None]


def end(service: Service, update: str, one: str, *words: str, first: int = 1) -> None:
    each = [status(first + number, word) for number, word in enumerate(words)]
    assert service.report(update, *each, device=one, token=one).status_code == 200


def patch(service: Service, update: str, rollout: Any) -> Any:
    path = f"/api/v1/updates/{update}"
    return service.request("PATCH", path, {"rollout": rollout}, key=service.key("operator"))


def audit(service: Service) -> list[tuple[str, str]]:
    rows = service.db.connection().execute("SELECT who, action FROM audit_log WHERE action LIKE '%update%' ORDER BY id")
    return [(row["who"].partition(":")[0], row["action"]) for row in rows]


def stuck(service: Service, update: str, one: str) -> str | None:
    items = service.request("GET", f"/api/v1/updates/{update}/devices", key=service.key("viewer")).get_json()["items"]
    (found,) = [item["stuck"] for item in items if item["device_id"] == one]
    return None if found is None else str(found)


def fleet_stuck(service: Service) -> int:
    return int(service.request("GET", "/api/v1/fleet", key=service.key("viewer")).get_json()["updates"][0]["stuck"])
