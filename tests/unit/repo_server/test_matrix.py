"""Every endpoint for every kind of caller: exactly what DESIGN.md allows.

The endpoints come from the application itself: one without a row in ``ROWS`` fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from repo_server.auth import ENROLL
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import (
    DEVICE,
    OTHER_DEVICE,
    TOKEN,
    announcement,
    heartbeat,
    registration,
    status,
    statuses,
)
from tests.unit.repo_server.conftest import TLS, Service, SignedIn

WAITING = "0195e0c8-0000-7000-8000-0000000000d4"
RETIRED = "0195e0c8-0000-7000-8000-0000000000d3"
NEW_DEVICE = "0195e0c8-0000-7000-8000-0000000000d5"
NO_SUCH = "0195e0c8-0000-7000-8000-00000000000f"

ROLES = ("viewer", "operator", "builder", "admin")
DEVICES = {
    "device": (DEVICE, TOKEN),
    "other device": (OTHER_DEVICE, "other"),
    "decommissioned device": (RETIRED, "retired"),
    "pending device": (WAITING, "waiting"),
}
SESSIONS = {role: f"session of the {role}" for role in ROLES}
NO_TOKEN = "session of the admin without its token"
CALLERS = (
    *ROLES, *SESSIONS.values(), NO_TOKEN, "wrong session", "ended session", "session of a revoked key",
    "nobody", "wrong key", "revoked key", "expired key", "enrollment token", *DEVICES,
)  # fmt: skip
OWN_ADDRESS = {"decommissioned device": RETIRED, "pending device": WAITING}
"""Whose address a caller asks, where it is not that of ``device``."""


@dataclass(frozen=True)
class Row:
    """Who may, and how everybody else is turned away, by caller; 401 where nothing is said."""

    may: set[str]
    others: dict[str, int]
    body: Any = None


def keyed(may: set[str], body: Any = None) -> Row:
    """For API keys with a role that may, and the sessions that stand for them."""
    others = dict.fromkeys((*ROLES, *SESSIONS.values(), NO_TOKEN), 403)
    return Row(may | {SESSIONS[role] for role in may}, others, body)


def of_device(body: Any = None, *also: str) -> Row:
    """For the device whose address it is; keys are nothing here."""
    may = {"device", *also}
    others = {"decommissioned device": 410, "pending device": 403}
    return Row(may, {caller: status for caller, status in others.items() if caller not in may}, body)


VIEW = {"viewer", "operator", "admin"}
OPERATE = {"operator", "admin"}
ANNOUNCE = {"builder", "admin"}
ADMINISTER = {"admin"}
ANYONE = Row(set(CALLERS), {})

A_DEVICE = "/api/v1/devices/<uuid:device_id>"
AN_UPDATE = "/api/v1/updates/<uuid:update_id>"
ROWS: dict[tuple[str, str], Row] = {
    ("POST", "/api/v1/devices/"): Row({"enrollment token"}, {}, registration(id=NEW_DEVICE, token="new")),
    ("GET", "/api/v1/devices/"): keyed(VIEW),
    ("GET", A_DEVICE): keyed(VIEW),
    ("GET", f"{A_DEVICE}/heartbeats"): keyed(VIEW),
    ("PATCH", A_DEVICE): keyed(OPERATE, {"name": "x"}),
    ("DELETE", A_DEVICE): keyed(OPERATE),
    ("POST", f"{A_DEVICE}/approve"): keyed(OPERATE),
    ("DELETE", f"{A_DEVICE}/reenrollment"): keyed(OPERATE),
    ("GET", f"{A_DEVICE}/export"): keyed(OPERATE),
    ("DELETE", f"{A_DEVICE}/data"): keyed(OPERATE),
    ("POST", f"{A_DEVICE}/rotate-token"): keyed(OPERATE),
    ("POST", f"{A_DEVICE}/token"): of_device({"token_sha256": "0" * 64}),
    ("POST", f"{A_DEVICE}/heartbeat"): of_device(heartbeat(), "pending device"),
    ("POST", f"{A_DEVICE}/updates/<uuid:update_id>/status"): of_device(statuses(status(1, "refreshed"))),
    ("POST", "/api/v1/updates/"): keyed(ANNOUNCE, announcement("2.0.0")),
    ("GET", "/api/v1/updates/"): keyed(VIEW),
    ("GET", AN_UPDATE): keyed(VIEW),
    ("GET", "/api/v1/releases/<name>"): keyed(ANNOUNCE),
    ("GET", f"{AN_UPDATE}/devices"): keyed(VIEW),
    ("GET", f"{AN_UPDATE}/devices/<uuid:device_id>/events"): keyed(VIEW),
    ("POST", f"{AN_UPDATE}/pause"): keyed(OPERATE),
    ("POST", f"{AN_UPDATE}/resume"): keyed(OPERATE),
    ("POST", f"{AN_UPDATE}/halt"): keyed(OPERATE),
    ("POST", f"{AN_UPDATE}/withdraw"): keyed(OPERATE | ANNOUNCE),
    ("POST", f"{AN_UPDATE}/expedite"): keyed(OPERATE),
    ("POST", f"{AN_UPDATE}/devices/<uuid:device_id>/expedite"): keyed(OPERATE),
    ("PATCH", AN_UPDATE): keyed(OPERATE, {"rollout": {}}),
    ("GET", f"{AN_UPDATE}/plan"): keyed(VIEW),
    ("GET", "/api/v1/fleet"): keyed(VIEW),
    ("GET", "/api/v1/fleet/history"): keyed(VIEW),
    ("GET", "/api/v1/events"): keyed(VIEW),
    ("POST", "/api/v1/api-keys/"): keyed(ADMINISTER, {"name": "x", "role": "viewer"}),
    ("GET", "/api/v1/api-keys/"): keyed(ADMINISTER),
    ("DELETE", "/api/v1/api-keys/<uuid:key_id>"): keyed(ADMINISTER),
    ("POST", "/api/v1/enrollment-tokens/"): keyed(ADMINISTER, {"name": "x"}),
    ("GET", "/api/v1/enrollment-tokens/"): keyed(ADMINISTER),
    ("DELETE", "/api/v1/enrollment-tokens/<uuid:token_id>"): keyed(ADMINISTER),
    ("GET", "/api/v1/audit"): keyed(ADMINISTER),
    # A session does not beget another, and a key has none.
    ("POST", "/api/v1/session"): Row(set(ROLES), {}),
    ("GET", "/api/v1/session"): Row(set(SESSIONS.values()), {}),
    ("DELETE", "/api/v1/session"): Row(set(SESSIONS.values()), {NO_TOKEN: 403}),
    ("GET", "/api/v1/openapi.json"): ANYONE,
    # The repository has no address of its own for each device.
    ("GET", "/repo/<path:name>"): of_device(None, "other device", "enrollment token", *ROLES),
    ("GET", "/onboarding/pi.sh"): ANYONE,
    ("GET", "/onboarding/archive-keyring.gpg"): ANYONE,
    ("GET", "/metrics"): keyed(VIEW),
    ("GET", "/"): ANYONE,
    ("GET", "/healthz"): ANYONE,
    ("GET", "/readyz"): ANYONE,
}


_LISTS, _POOL = "trixie/dists/stable", "trixie/pool/main"
FOR_ENROLLING = (
    f"{_LISTS}/InRelease", f"{_LISTS}/main/binary-arm64/Packages.gz", f"{_LISTS}/main/binary-arm64/by-hash/SHA256/0",
    f"{_POOL}/p/pi-hook/pi-hook_0.1.0_all.deb", f"{_POOL}/p/pi-ota-keyring/pi-ota-keyring_3_all.deb",
)  # fmt: skip
"""Files of the repository for which an enrollment token is enough."""
FOR_DEVICES = (
    f"{_POOL}/s/sample/sample_1.0_all.deb", f"{_POOL}/p/pi-hook/sample_1.0_all.deb",
    f"{_POOL}/p/pi-hook-x/pi-hook-x_1_all.deb", f"{_POOL}/p/pi-hook/pi-hook_1_all.deb/../../s/sample_1.0_all.deb",
    f"{_POOL}/p/pi-hook", "InRelease", "dists/x/InRelease/dists", "pi-hook_0.1.0_all.deb",
)  # fmt: skip
"""And others, of which it says nothing."""


def endpoints(app: Flask) -> set[tuple[str, str]]:
    # The desk's pages have a matrix of their own: see desk/test_matrix.py.
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("desk")
        for method in (rule.methods or set())
    }


def test_every_endpoint_has_a_row_and_every_row_an_endpoint(service: Service) -> None:
    # OPTIONS tells which methods there are, and HEAD asks as GET does; both come with the others.
    assert {one for one in endpoints(service.app) if one[0] not in {"OPTIONS", "HEAD"}} == set(ROWS)


@dataclass(frozen=True)
class Cast:
    """The callers of one test, each with what it sends."""

    service: Service
    keys: dict[str, str]
    sessions: dict[str, SignedIn]
    update: str
    enrollment_token: str

    def ask(self, method: str, rule: str, caller: str, body: Any) -> Any:
        names = {"device_id": OWN_ADDRESS.get(caller, DEVICE), "update_id": self.update}
        path = re.sub(r"<uuid:(\w+)>", lambda found: names.get(found[1], NO_SUCH), rule)
        path = path.replace("<path:name>", FOR_ENROLLING[0])
        sent: dict[str, Any] = {}
        if caller in self.keys:
            sent["key"] = self.keys[caller]
        elif caller in self.sessions:
            sent["session"] = self.sessions[caller]
        elif caller == "enrollment token" and rule.startswith("/repo/"):
            sent["auth"] = (ENROLL, self.enrollment_token)
        elif caller == "enrollment token":
            sent["token"] = self.enrollment_token
        elif caller in DEVICES and rule.startswith("/repo/"):
            sent["auth"] = DEVICES[caller]
        elif caller in DEVICES:
            sent["token"] = DEVICES[caller][1]
        # From elsewhere: programs on the server's own machine may scrape it without a key.
        sent |= {"base_url": TLS, "environ_base": {"REMOTE_ADDR": "203.0.113.9"}}
        return self.service.request(method, path, body, **sent)


@pytest.fixture
def cast(service: Service) -> Cast:
    keys = {role: service.key(role) for role in ROLES}
    keys |= {"wrong key": "pik_guessed", "revoked key": service.key("admin")}
    sessions = {"wrong session": SignedIn("__Host-pi-ota-session=pis_guessed", "")}
    sessions["session of a revoked key"] = service.sign_in(keys["revoked key"])
    service.revoke(keys["revoked key"])
    sessions["ended session"] = service.sign_in(keys["admin"])
    assert service.request("DELETE", "/api/v1/session", session=sessions["ended session"]).status_code == 204
    keys["expired key"] = service.key("admin", expires_in=timedelta(seconds=60))
    service.now += timedelta(seconds=60)
    sessions |= {name: service.sign_in(keys[role]) for role, name in SESSIONS.items()}
    sessions[NO_TOKEN] = SignedIn(service.sign_in(keys["admin"]).cookie, "")
    for caller, (device, token) in DEVICES.items():
        service.register(Preset(approval=caller == "pending device"), id=device, token=token)
    retired = service.request("DELETE", f"/api/v1/devices/{RETIRED}", key=keys["operator"])
    assert retired.status_code == 204
    return Cast(service, keys, sessions, service.announce(), service.enrollment_token())


@pytest.mark.parametrize(("method", "rule"), sorted(ROWS), ids=str)
def test_who_may_and_who_may_not(cast: Cast, method: str, rule: str) -> None:
    row = ROWS[method, rule]
    may = row.may | ({NO_TOKEN} if method == "GET" and SESSIONS["admin"] in row.may else set())
    methods = [method, "HEAD"] if method == "GET" else [method]
    before = cast.service.dump()
    for caller in sorted(set(CALLERS) - may):
        for one in methods:
            answer = cast.ask(one, rule, caller, row.body)
            assert (caller, answer.status_code) == (caller, row.others.get(caller, 401))
            assert answer.status_code != 401 or "WWW-Authenticate" in answer.headers
    assert cast.service.dump() == before
    for caller in sorted(may):
        for one in methods:
            answer = cast.ask(one, rule, caller, row.body)
            answer.close()  # a stream lasts until then
            # Whoever may hears what is there: also that it is not there, or cannot be done.
            assert answer.status_code in {200, 201, 204, 404, 409}, (caller, answer.get_data(as_text=True))


@pytest.mark.parametrize("name", FOR_ENROLLING + FOR_DEVICES)
def test_who_may_have_a_file_of_the_repository(cast: Cast, name: str) -> None:
    file = cast.service.settings.repository / name
    if ".." not in name:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"content")
    served = 200 if ".." not in name else 404
    may = {*ROLES, "device", "other device"} | ({"enrollment token"} if name in FOR_ENROLLING else set())
    others = {"pending device": 403, "decommissioned device": 410, "enrollment token": 403}
    for caller in CALLERS:
        answer = cast.ask("GET", f"/repo/{name}", caller, None)
        expected = served if caller in may else others.get(caller, 401)
        if caller in SESSIONS.values() or caller == NO_TOKEN:
            expected = 401
        assert (caller, answer.status_code) == (caller, expected)
        answer.close()
