"""API keys, enrollment tokens and the audit log over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.fleet_bodies import DEVICE, registration
from tests.unit.repo_server.conftest import Service

KEYS = "/api/v1/api-keys/"
TOKENS = "/api/v1/enrollment-tokens/"
AUDIT = "/api/v1/audit"
DEVICES = "/api/v1/devices/"
FLEET = "/api/v1/fleet"


def make(service: Service, path: str, key: str, **body: Any) -> Any:
    answer = service.request("POST", path, body, key=key)
    assert answer.status_code == 201, answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json


def entries(service: Service, key: str, **query: Any) -> list[Any]:
    answer = service.request("GET", AUDIT, query_string=query, key=key)
    assert answer.status_code == 200, answer.json
    return list(answer.get_json()["items"])


def test_a_key_is_shown_once_works_until_it_is_revoked_and_stays_in_the_list(service: Service) -> None:
    admin = service.key("admin")
    made = make(service, KEYS, admin, name="dashboard", role="viewer")
    assert made["secret"].startswith("pik_")
    assert service.request("GET", FLEET, key=made["secret"]).status_code == 200
    listed = service.request("GET", KEYS, key=admin)
    assert made["secret"] not in listed.get_data(as_text=True)
    shown = {item["id"]: item for item in listed.get_json()["items"]}[made["id"]]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    for _ in range(2):
        assert service.request("DELETE", f"{KEYS}{made['id']}", key=admin).status_code == 204
    assert service.request("GET", FLEET, key=made["secret"]).status_code == 401
    revoked = [item for item in service.request("GET", KEYS, key=admin).get_json()["items"] if item["revoked_at"]]
    assert [item["id"] for item in revoked] == [made["id"]]
    assert [entry["action"] for entry in entries(service, admin, subject=made["id"])] == [
        "api_key.revoke",
        "api_key.create",
    ]


def test_a_key_ends_at_its_instant(service: Service) -> None:
    admin = service.key("admin")
    made = make(service, KEYS, admin, name="contractor", role="operator", expires_at="2026-03-29T02:30:00Z")
    service.now += timedelta(minutes=60, seconds=-1)
    assert service.request("GET", FLEET, key=made["secret"]).status_code == 200
    service.now += timedelta(seconds=1)
    assert service.request("GET", FLEET, key=made["secret"]).status_code == 401


@pytest.mark.parametrize("path", [KEYS, TOKENS])
def test_what_would_have_expired_already_is_refused(service: Service, path: str) -> None:
    body = {"name": "x", "expires_at": "2026-03-29T01:30:00Z"} | ({"role": "viewer"} if path == KEYS else {})
    answer = service.request("POST", path, body, key=service.key("admin"))
    assert (answer.status_code, answer.get_json()["error"]["message"]) == (422, "expires_at: lies in the past")


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        (KEYS, {"name": "x", "role": "god"}, "role"), (KEYS, {"name": "x"}, "role"), (KEYS, {"role": "viewer"}, "name"),
        (KEYS, {"name": "a\nb", "role": "viewer"}, "name"), (KEYS, {"name": "x" * 201, "role": "viewer"}, "name"),
        (TOKENS, {"name": "x", "uses": 0}, "uses"), (TOKENS, {"name": "x", "uses": 10**9}, "uses"),
        (TOKENS, {"name": "x", "group": "Ground Floor"}, "group"), (TOKENS, {"name": "x", "approval": 1}, "approval"),
        (TOKENS, {"name": "x", "secret": "mine"}, "secret"),
    ],
)  # fmt: skip
def test_wrong_wishes_are_refused_by_name(service: Service, path: str, body: Any, names: str) -> None:
    key = service.key("admin")
    before = service.dump()
    answer = service.request("POST", path, body, key=key)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(f"{names}:")
    assert service.dump() == before


def test_the_last_admin_key_cannot_be_revoked_over_http(service: Service) -> None:
    admin = service.key("admin")
    service.key("operator")
    service.revoke(service.key("admin"))
    brief = make(service, KEYS, admin, name="brief", role="admin", expires_at="2026-03-29T02:30:00Z")
    (mine,) = [
        item["id"]
        for item in service.request("GET", KEYS, key=admin).get_json()["items"]
        if item["role"] == "admin" and item["revoked_at"] is None and item["expires_at"] is None
    ]
    service.now += timedelta(hours=1)  # the brief one is good for nothing now
    answer = service.request("DELETE", f"{KEYS}{mine}", key=admin)
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (409, "conflict")
    assert "make another one first" in answer.get_json()["error"]["message"]
    assert service.request("DELETE", f"{KEYS}{brief['id']}", key=admin).status_code == 204
    other = make(service, KEYS, admin, name="other", role="admin")
    assert service.request("DELETE", f"{KEYS}{mine}", key=admin).status_code == 204
    assert service.request("GET", FLEET, key=admin).status_code == 401
    assert service.request("GET", FLEET, key=other["secret"]).status_code == 200


def test_a_revoked_token_enrolls_nobody_and_its_devices_stay(service: Service) -> None:
    admin = service.key("admin")
    made = make(service, TOKENS, admin, name="attic", uses=5)
    assert service.request("POST", DEVICES, registration(), token=made["secret"]).status_code == 201
    shown = service.request("GET", TOKENS, key=admin).get_json()["items"]
    assert [(item["name"], item["uses"], item["uses_allowed"]) for item in shown] == [("attic", 1, 5)]
    assert service.request("DELETE", f"{TOKENS}{made['id']}", key=admin).status_code == 204
    answer = service.request("POST", DEVICES, registration(), token=made["secret"])
    assert answer.status_code == 401
    service.beat()


@pytest.mark.parametrize("path", [KEYS, TOKENS])
def test_nothing_is_revoked_that_is_not_there(service: Service, path: str) -> None:
    answer = service.request("DELETE", f"{path}{DEVICE}", key=service.key("admin"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (404, "not_found")


def test_every_change_over_http_is_in_the_audit_log_with_before_and_after(service: Service) -> None:
    admin, operator = service.key("admin"), service.key("operator")
    service.register()
    one = f"{DEVICES}{DEVICE}"
    service.request("PATCH", one, {"hold": "guests", "name": "Küche"}, key=operator)
    service.request("PATCH", one, {"hold": None, "name": "Küche"}, key=operator)
    service.request("PATCH", one, {"hold": None}, key=operator)  # changes nothing
    update = service.announce()
    service.request("POST", f"/api/v1/updates/{update}/pause", key=operator)
    service.request("DELETE", one, key=operator)
    found = [(entry["who"], entry["action"], entry["detail"]) for entry in entries(service, admin, subject=DEVICE)]
    assert [(who, action) for who, action, _ in found] == [
        ("key:test operator", "device.decommission"),
        ("key:test operator", "device.change"),
        ("key:test operator", "device.change"),
        ("enrollment_token:test", "device.register"),
    ]
    assert found[1][2] == {"before": {"hold": "guests"}, "after": {"hold": None}}
    assert found[2][2] == {"before": {"hold": None, "name": None}, "after": {"hold": "guests", "name": "Küche"}}
    actions = [entry["action"] for entry in entries(service, admin, subject=update)]
    assert actions == ["update.paused", "update.announce"]


def test_the_audit_log_is_filtered_and_paged(service: Service) -> None:
    admin = service.key("admin")
    for name in ("a", "b", "c", "d", "e"):
        service.now += timedelta(minutes=1)
        make(service, TOKENS, admin, name=name)
    names = [entry["detail"]["after"]["name"] for entry in entries(service, admin, action="enrollment_token.create")]
    assert names == ["e", "d", "c", "b", "a"]
    within = entries(service, admin, since="2026-03-29T01:32:00Z", until="2026-03-29T01:34:00Z", who="key:test admin")
    assert [entry["detail"]["after"]["name"] for entry in within] == ["c", "b"]
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 2, "action": "enrollment_token.create"} | ({"cursor": cursor} if cursor else {})
        page = service.request("GET", AUDIT, query_string=query, key=admin).get_json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5


@pytest.mark.parametrize("query", ["who=%0a", "action=Device", "since=yesterday", "colour=red", "limit=0"])
def test_a_wrong_question_about_the_audit_log_is_refused_by_name(service: Service, query: str) -> None:
    answer = service.request("GET", f"{AUDIT}?{query}", key=service.key("admin"))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(query.partition("=")[0])


def test_no_secret_ever_reaches_the_database_or_the_audit_log(service: Service) -> None:
    admin = service.key("admin")
    made = [make(service, KEYS, admin, name="k", role="admin"), make(service, TOKENS, admin, name="t")]
    dump = "\n".join(service.dump())
    assert not [one["secret"] for one in made if one["secret"] in dump]
    hashes = [row[0] for row in service.db.connection().execute("SELECT secret_sha256 FROM api_keys")]
    log = "\n".join(row[0] for row in service.db.connection().execute("SELECT detail FROM audit_log"))
    assert not [one for one in hashes if one in log]
