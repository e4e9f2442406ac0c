"""Presence as the API shows, lists and counts it; and how heartbeats are kept."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from repo_server import housekeeping, migrations
from repo_server.db import Database
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat
from tests.unit.repo_server.conftest import Service

THIRD = "0195e0c8-0000-7000-8000-0000000000d3"


def listed(service: Service, query: str) -> list[str]:
    answer = service.request("GET", f"/api/v1/devices/?{query}", key=service.key("viewer"))
    assert answer.status_code == 200, answer.json
    return [item["id"] for item in answer.get_json()["items"]]


def shown(service: Service, device: str = DEVICE) -> Any:
    return service.request("GET", f"/api/v1/devices/{device}", key=service.key("viewer")).get_json()["presence"]


def counts(service: Service) -> Any:
    return service.request("GET", "/api/v1/fleet", key=service.key("viewer")).get_json()["devices"]


def test_shown_listed_and_counted_alike(service: Service) -> None:
    for device in (DEVICE, OTHER_DEVICE, THIRD):
        service.register(id=device, token=device)
    service.beat(device=DEVICE, token=DEVICE)
    service.now += timedelta(days=1, minutes=16)
    service.beat(device=OTHER_DEVICE, token=OTHER_DEVICE)
    service.now -= timedelta(seconds=1)  # DEVICE is lost by a second, THIRD was never heard of
    service.now += timedelta(minutes=20)
    service.beat(device=THIRD, token=THIRD)
    words = {"lost": DEVICE, "late": OTHER_DEVICE, "online": THIRD}
    for word, device in words.items():
        assert shown(service, device) == word
        assert listed(service, f"presence={word}") == [device]
        assert listed(service, f"presence={word}&channel=stable") == [device]
        assert listed(service, f"presence={word}&channel=beta") == []
    assert listed(service, "online=false") == [DEVICE, OTHER_DEVICE]
    assert listed(service, "online=true") == [THIRD]
    assert counts(service) == {
        "total": 3, "online": 1, "offline": 2, "late": 1, "lost": 1, "pending": 0, "held": 0
    }  # fmt: skip


def test_a_device_that_was_never_heard_of_is_late_and_then_lost(service: Service) -> None:
    service.register()
    assert shown(service) == "late"
    service.now += timedelta(days=1)
    assert shown(service) == "late"
    service.now += timedelta(seconds=1)
    assert shown(service) == "lost"
    service.beat()
    assert shown(service) == "online"


def test_a_decommissioned_device_has_no_presence(service: Service) -> None:
    service.register()
    service.beat()
    service.request("DELETE", f"/api/v1/devices/{DEVICE}", key=service.key("operator"))
    assert shown(service) is None
    assert listed(service, "state=decommissioned&online=false") == [DEVICE]
    assert listed(service, "state=decommissioned&online=true") == []
    assert listed(service, "state=decommissioned&presence=lost") == []
    assert counts(service)["total"] == 0


def test_pages_of_silent_devices_have_each_once(service: Service) -> None:
    ids = [f"0195e0c8-0000-7000-8000-0000000000{number:02x}" for number in range(5)]
    for device in ids:
        service.register(id=device, token=device)
    found, cursor = [], ""
    while True:
        page = service.request("GET", f"/api/v1/devices/?presence=late&limit=2{cursor}", key=service.key("viewer")).json
        assert page is not None
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ids


def test_each_heartbeat_names_the_one_before_it(service: Service) -> None:
    for device in (DEVICE, OTHER_DEVICE):
        service.register(id=device, token=device)
    for device in (DEVICE, OTHER_DEVICE, OTHER_DEVICE, DEVICE, DEVICE):
        service.beat(device=device, token=device)
    rows = service.db.connection().execute("SELECT device_id, id, previous_id FROM heartbeats ORDER BY id").fetchall()
    assert [(row["device_id"] == DEVICE, row["id"], row["previous_id"]) for row in rows] == [
        (True, 1, None), (False, 2, None), (False, 3, 2), (True, 4, 1), (True, 5, 4),
    ]  # fmt: skip


def test_the_heartbeats_of_a_device_are_listed_from_the_newest_back(service: Service) -> None:
    for device in (DEVICE, OTHER_DEVICE):
        service.register(id=device, token=device)
    for number in range(5):
        gate = {"decision": "defer", "reason": "BUSY", "retry_at": "2026-03-29T04:30:00Z"} if number == 4 else None
        service.beat(device=DEVICE, token=DEVICE, uptime_seconds=number, gate=gate, reboot_required=number == 3)
        service.beat(device=OTHER_DEVICE, token=OTHER_DEVICE)
    key, path = service.key("viewer"), f"/api/v1/devices/{DEVICE}/heartbeats"
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = service.request("GET", f"{path}?limit=2" + (f"&cursor={cursor}" if cursor else ""), key=key).get_json()
        found += page["items"]
        cursor = page["next_cursor"]
    assert [item["uptime_seconds"] for item in found] == [4, 3, 2, 1, 0]
    assert found[0]["gate"] == {"decision": "defer", "reason": "BUSY", "retry_at": "2026-03-29T04:30:00Z"}
    assert (found[1]["gate"], found[1]["reboot_required"], found[2]["reboot_required"]) == (None, True, False)
    first = service.request("GET", f"{path}?limit=2", key=key).get_json()["next_cursor"]
    service.now += timedelta(days=30)
    housekeeping.prune(service.db, timedelta(days=1), service.now)
    assert service.request("GET", f"{path}?cursor={first}", key=key).get_json() == {"items": [], "next_cursor": None}
    for bad in ("nonsense", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        answer = service.request("GET", f"{path}?cursor={bad}", key=key)
        assert answer.status_code in {200, 422}
        assert answer.status_code == 422 or answer.get_json()["items"] == []
    assert service.request("GET", f"/api/v1/devices/{THIRD}/heartbeats", key=key).status_code == 404


def test_what_seldom_changes_is_kept_when_it_does(service: Service) -> None:
    service.register()
    service.beat("1.0.0", gate={"decision": "defer", "reason": "BUSY"})
    service.beat("1.1.0", active="1.0.0", agent_version="0.2.0", timezone="Asia/Tokyo", reboot_required=True)
    item = service.request("GET", f"/api/v1/devices/{DEVICE}", key=service.key("viewer")).get_json()
    assert (item["installed"], item["active"], item["agent_version"]) == ("1.1.0", "1.0.0", "0.2.0")
    assert (item["timezone"], item["gate"], item["reboot_required"]) == ("Asia/Tokyo", None, True)


def test_a_stranger_learns_nothing_of_its_body_and_leaves_nothing(service: Service) -> None:
    service.register()
    before = service.dump()
    path = f"/api/v1/devices/{DEVICE}/heartbeat"
    for body in (heartbeat(), {"nonsense": 1}):
        answer = service.request("POST", path, body, token="wrong")
        assert (answer.status_code, answer.get_json()["error"]["kind"]) == (401, "unauthorized")
    assert service.request("POST", path, {"nonsense": 1}, token=TOKEN).status_code == 422
    assert service.dump() == before


def test_devices_from_before_keep_their_history_and_have_deadlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of the schema before this one, with heartbeats of two devices and one never heard of."""
    steps = migrations._steps._migrations
    monkeypatch.setattr(migrations._steps, "_migrations", [step for step in steps if step.name < "0009"])
    db = Database(tmp_path / "x.db")

    def fill(connection: sqlite3.Connection) -> None:
        for device, seen in (("a", "2026-03-29T01:30:00Z"), ("b", "2026-03-29T01:00:00Z"), ("c", None)):
            connection.execute(
                "INSERT INTO devices (id, token_sha256, state, hostname, channel, timezone, assistant, agent_version,"
                " debian, architecture, registered_at, last_seen_at)"
                " VALUES (?, 'x', ?, 'x', 'x', 'x', 'x', 'x', 'x', 'x', '2026-03-01T00:00:00Z', ?)",
                (device, "decommissioned" if device == "b" else "active", seen),
            )
        for device in "abba":
            connection.execute("INSERT INTO heartbeats (device_id, received_at) VALUES (?, 'then')", (device,))

    db.write(fill)
    db.close()
    monkeypatch.undo()
    db = Database(tmp_path / "x.db")
    try:
        rows = db.connection().execute("SELECT id, device_id, previous_id FROM heartbeats ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == [(1, "a", None), (2, "b", None), (3, "b", 2), (4, "a", 1)]
        newest = db.connection().execute("SELECT id, last_heartbeat_id FROM devices ORDER BY id").fetchall()
        assert [tuple(row) for row in newest] == [("a", 4), ("b", 3), ("c", None)]
        found = db.connection().execute("SELECT * FROM presence ORDER BY device_id").fetchall()
        assert [tuple(row) for row in found] == [
            ("a", "2026-03-29T01:45:01Z", "2026-03-30T01:30:01Z"),
            ("c", "2026-03-01T00:00:00Z", "2026-03-02T00:00:01Z"),
        ]
        assert isinstance(db.tables(), sqlite_utils.Database)
    finally:
        db.close()


PLANS = [
    "", "state=decommissioned", "group=g", "channel=beta", "version=1.0.0", "status=succeeded", "presence=online",
    "presence=late", "presence=lost", "online=true", "online=false", "group=g&presence=lost",
]  # fmt: skip


@pytest.mark.parametrize("query", PLANS)
def test_no_filter_looks_at_every_device_and_none_sorts(service: Service, query: str) -> None:
    """The plan of each list, without and with a cursor: by an index, in its order."""
    key = service.key("viewer")
    connection = service.db.connection()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    cursor = "cursor=MDE5NWUwYzgtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAw"
    for address in (f"/api/v1/devices/?{query}", f"/api/v1/devices/?{query}&{cursor}"):
        assert service.request("GET", address, key=key).status_code == 200
    connection.set_trace_callback(None)
    lists = [statement for statement in statements if "FROM devices" in statement or "FROM presence" in statement]
    assert len(lists) == 2
    for statement in lists:
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [line for line in plan if "TEMP B-TREE" in line], plan
        assert not [line for line in plan if line.startswith("SCAN") and "presence" not in line], plan


def test_the_devices_of_an_update_are_found_by_an_index(service: Service) -> None:
    sql = "SELECT * FROM device_updates WHERE update_id = 'x' AND device_id > 'y' ORDER BY device_id LIMIT 10"
    (line,) = [row["detail"] for row in service.db.connection().execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert "update_id=? AND device_id>?" in line


@pytest.mark.parametrize(
    ("columns", "condition"),
    [("active, count(*)", "active IS NOT NULL"), ("gate_reason, count(*)", "gate_decision = 'defer'")],
)
def test_the_numbers_of_the_fleet_are_counted_in_indexes_alone(service: Service, columns: str, condition: str) -> None:
    sql = f"SELECT {columns} FROM devices WHERE state = 'active' AND {condition} GROUP BY 1"
    plan = [row["detail"] for row in service.db.connection().execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert all("COVERING INDEX" in line for line in plan), plan
