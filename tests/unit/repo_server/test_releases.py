"""What a builder may know of its releases: versions and numbers, and nothing about a home."""

from __future__ import annotations

from typing import Any

from tests.support.fleet_bodies import status
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import beat, fleet

PATH = "/api/v1/releases/sample-assistant"


def releases(service: Service) -> Any:
    answer = service.request("GET", PATH, key=service.key("builder"))
    assert answer.status_code == 200
    return answer.json


def rows(service: Service) -> dict[str, int]:
    found = releases(service)["in_use"]
    assert {(row["debian"], row["architecture"]) for row in found} <= {("trixie", "arm64")}
    return {row["version"]: row["devices"] for row in found}


def test_a_version_is_in_use_where_it_is_installed_or_runs_or_is_on_its_way(service: Service) -> None:
    one, other, third = fleet(service, 3)
    update = service.announce("1.2.0")
    assert rows(service) == {"1.0.0": 3}
    beat(service, one, "1.1.0", active="1.0.5")
    assert rows(service) == {"1.0.0": 2, "1.0.5": 1, "1.1.0": 1, "1.2.0": 1}  # granted with the heartbeat
    beat(service, other)
    going = status(1, "downloading", version="1.2.0")
    assert service.report(update, going, device=other, token=other).status_code == 200
    assert rows(service) == {"1.0.0": 2, "1.0.5": 1, "1.1.0": 1, "1.2.0": 2}
    assert service.report(update, status(2, "failed", version="1.2.0"), device=other, token=other).status_code == 200
    service.request("DELETE", f"/api/v1/devices/{third}", key=service.key("operator"))
    assert rows(service) == {"1.0.0": 1, "1.0.5": 1, "1.1.0": 1, "1.2.0": 1}


def test_a_grant_that_a_device_has_skipped_over_is_no_way_to_anywhere(service: Service) -> None:
    (one,) = fleet(service, 1)
    service.announce("1.1.0")
    beat(service, one)
    assert rows(service) == {"1.0.0": 1, "1.1.0": 1}
    beat(service, one, "1.2.0")
    assert rows(service) == {"1.2.0": 1}


def test_the_updates_and_what_is_on_offer(service: Service) -> None:
    old, new = service.announce("1.1.0"), service.announce("1.2.0")
    found = releases(service)
    assert {(item["id"], item["version"], item["state"]) for item in found["updates"]} == {
        (new, "1.2.0", "active"),
        (old, "1.1.0", "active"),
    }
    assert found["offered"] == [{"version": "1.2.0", "channel": "stable"}]
    service.request("POST", f"/api/v1/updates/{new}/pause", key=service.key("operator"))
    assert [one["version"] for one in releases(service)["offered"]] == [
        "1.1.0",
        "1.2.0",
    ]  # a device that has none gets the older one meanwhile
    withdrawn = service.request("POST", f"/api/v1/updates/{new}/withdraw", key=service.key("builder"))
    assert withdrawn.status_code == 200
    assert [one["version"] for one in releases(service)["offered"]] == ["1.1.0"]


def test_of_one_version_the_packages_are_told_as_they_were_announced(service: Service) -> None:
    service.announce("1.1.0")
    service.announce("1.2.0")
    answer = service.request("GET", f"{PATH}?version=1.1.0", key=service.key("builder"))
    assert answer.json is not None
    (update,) = answer.json["updates"]
    assert update["version"] == "1.1.0"
    assert {row["package"] for row in update["packages"]} >= {"sample-assistant"}
    assert {item["packages"] for item in releases(service)["updates"]} == {None}


def test_of_an_unknown_assistant_there_is_nothing(service: Service) -> None:
    answer = service.request("GET", "/api/v1/releases/nobody", key=service.key("builder"))
    assert answer.json == {"name": "nobody", "updates": [], "in_use": [], "offered": []}


def test_nothing_in_it_names_a_device(service: Service) -> None:
    ids = fleet(service, 2)
    service.announce("1.2.0")
    beat(service, ids[0])
    answer = service.request("GET", PATH, key=service.key("builder")).get_data(as_text=True)
    assert not [word for word in (*ids, "kitchen", "Europe/Berlin") if word in answer]
