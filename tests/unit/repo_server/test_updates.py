"""Announcing and listing updates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, announcement, status
from tests.unit.repo_server.conftest import Service

UPDATES = "/api/v1/updates/"


def announce(service: Service, body: Any) -> Any:
    return service.request("POST", UPDATES, body, key=service.key("builder"))


def test_announcing_the_very_same_again_is_no_error(service: Service) -> None:
    first = announce(service, announcement())
    assert first.status_code == 201
    in_order = sorted(announcement()["packages"], key=lambda package: package["package"])
    shown = dict(
        first.get_json(), packages=sorted(first.get_json()["packages"], key=lambda package: package["package"])
    )
    assert {name: shown[name] for name in announcement()} == dict(announcement(), packages=in_order)
    assert (shown["state"], shown["announced_at"]) == ("active", "2026-03-29T01:30:00Z")
    again = announcement()
    again["packages"].reverse()
    assert (announce(service, again).status_code, announce(service, again).json) == (200, first.json)


def test_a_version_is_never_reused(service: Service) -> None:
    announce(service, announcement())
    before = [line for line in service.dump() if '"updates"' in line]
    other_bytes = announcement()
    other_bytes["packages"][0]["sha256"] = "0" * 64
    for other in (
        announcement(urgency="urgent"), announcement(notes="other"), announcement(minimum_agent="0.2"), other_bytes,
        dict(other_bytes, channel="beta"),
    ):  # fmt: skip
        answer = announce(service, other)
        assert (answer.status_code, answer.get_json()["error"]["kind"]) == (409, "conflict")
        assert "sample-assistant 1.1.0" in answer.get_json()["error"]["message"]
    assert [line for line in service.dump() if '"updates"' in line] == before


def test_the_same_release_may_go_to_another_channel(service: Service) -> None:
    beta = announce(service, announcement(channel="beta"))
    stable = announce(service, announcement(urgency="urgent"))
    assert (beta.status_code, stable.status_code) == (201, 201)
    assert beta.get_json()["id"] != stable.get_json()["id"]


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"urgency": "soon"}, "urgency"), ({"version": "1:1.0"}, "version"), ({"version": "v1"}, "version"),
        ({"name": "Sample"}, "name"), ({"packages": []}, "packages"), ({"notes": "two\nlines"}, "notes"),
        ({"channel": "../beta"}, "channel"), ({"mood": 1}, "mood"), ({"notes": None}, "notes"),
        ({"packages": [{}]}, "packages.0.package"),
    ],
)  # fmt: skip
def test_a_wrong_announcement_is_refused_by_name(service: Service, wrong: dict[str, Any], names: str) -> None:
    answer = announce(service, announcement(**wrong))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(f"{names}:")


def test_a_package_that_somebody_else_has_built_may_have_an_epoch(service: Service) -> None:
    body = announcement()
    body["packages"].append({**body["packages"][0], "package": "vosk", "version": "1:2.0-1"})
    answer = announce(service, body)
    assert answer.status_code == 201
    assert ("vosk", "1:2.0-1") in {(one["package"], one["version"]) for one in answer.get_json()["packages"]}


def test_updates_are_listed_newest_first_and_by_filter(service: Service) -> None:
    key = service.key("viewer")
    made = []
    for number in range(3):
        service.now = service.now.replace(minute=31 + number)
        made.append(service.announce(f"1.{number}.0", channel="beta" if number == 1 else "stable"))

    def listed(query: str) -> list[str]:
        return [item["id"] for item in service.request("GET", UPDATES + query, key=key).get_json()["items"]]

    assert listed("") == made[::-1]
    assert listed("?channel=beta") == [made[1]]
    assert listed("?state=paused") == listed("?name=other-assistant") == []
    first = service.request("GET", UPDATES + "?limit=2", key=key).get_json()
    assert listed(f"?limit=2&cursor={first['next_cursor']}") == [made[0]]
    assert service.request("GET", UPDATES + made[0], key=key).get_json()["version"] == "1.0.0"


@pytest.mark.parametrize("path", ["", "/devices", f"/devices/{DEVICE}/events", "/pause"])
def test_an_unknown_update_is_not_found(service: Service, path: str) -> None:
    method = "POST" if path == "/pause" else "GET"
    answer = service.request(method, UPDATES + OTHER_DEVICE + path, key=service.key("admin"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (404, "not_found")


def test_events_tell_what_happened_in_order_and_page(service: Service) -> None:
    service.register()
    update = service.announce()
    service.beat()
    service.report(update, status(1, "refreshed"), status(2, "downloading"), status(3, "downloaded"))
    service.report(update, status(4, "deferred", reason="RECENT_ACTIVITY", retry_at="2026-03-29T02:30:00Z"))
    path, key = f"{UPDATES}{update}/devices/{DEVICE}/events", service.key("viewer")
    events = service.request("GET", path, key=key).get_json()["items"]
    assert [(event["sequence"], event["status"]) for event in events] == [
        (None, "granted"), (1, "refreshed"), (2, "downloading"), (3, "downloaded"), (4, "deferred"),
    ]  # fmt: skip
    assert (events[-1]["reason"], events[-1]["retry_at"]) == ("RECENT_ACTIVITY", "2026-03-29T02:30:00Z")
    first = service.request("GET", path + "?limit=3", key=key).get_json()
    rest = service.request("GET", f"{path}?limit=3&cursor={first['next_cursor']}", key=key).get_json()
    assert first["items"] + rest["items"] == events
    assert rest["next_cursor"] is None
    assert service.request("GET", f"{UPDATES}{update}/devices/{OTHER_DEVICE}/events", key=key).get_json()["items"] == []


def test_a_withdrawn_update_cannot_be_resumed(service: Service) -> None:
    update = service.announce()
    service.db.write(lambda connection: connection.execute("UPDATE updates SET state = 'withdrawn'"))
    answer = service.request("POST", f"{UPDATES}{update}/resume", key=service.key("operator"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (409, "conflict")
