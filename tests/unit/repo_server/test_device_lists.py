"""Lists of devices: each filter and order against a plain reading of all devices, page by page."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from repo_server import times, wire
from repo_server.answers import Device
from repo_server.errors import InvalidError
from repo_server.store import device_lists, devices
from tests.unit.repo_server.conftest import Service

ROOMS = ("kitchen", "Kitchen 100%", "hall_way", "attic", "Küche", "pi")
REASONS = (*device_lists.PROBLEMS, "OUTSIDE_WINDOW")
STUCK = "0195e0c8-0000-7000-8000-0000000000f1"


def identifier(number: int) -> str:
    return f"0195e0c8-{number:04x}-7000-8000-{number * 7919:012x}"


def fill(service: Service, count: int = 120) -> None:
    """Devices of every kind, the same each time."""
    chance, now = random.Random(6), service.now

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO updates (id, name, version, channel, urgency, notes, packages, state, announced_at)"
            " VALUES (?, 'a', '1', 'stable', 'urgent', '', '[]', 'active', 'x')",
            (STUCK,),
        )
        for number in range(count):
            device, seen = identifier(number), now - timedelta(minutes=chance.choice((1, 20, 2_000)))
            values = {
                "id": device,
                "token_sha256": f"{number:064x}",
                "state": chance.choice(("active", "active", "active", "pending", "decommissioned")),
                "name": chance.choice((None, *ROOMS)),
                "hostname": f"{chance.choice(ROOMS)}-{number}",
                "group_name": chance.choice((None, "canary", "rest")),
                "channel": chance.choice(("stable", "beta")),
                "timezone": "Etc/UTC",
                "assistant": "a",
                "agent_version": "1",
                "debian": "trixie",
                "architecture": "arm64",
                "registered_at": times.render(now),
                "last_seen_at": chance.choice((None, times.render(seen))),
                "active": chance.choice((None, "1.0.0", "1.1.0")),
                "gate_decision": chance.choice(("defer", "nothing")),
                "gate_reason": chance.choice(REASONS) if chance.random() < 0.3 else "OUTSIDE_WINDOW",
                "update_id": STUCK,
                "update_status": chance.choice(("deferred", "deferred", "failed", "succeeded")),
                "pending_since": times.render(now) if chance.random() < 0.05 else None,
                "pending_token_sha256": "0" * 64,
                "cloned_suspected_at": times.render(now) if chance.random() < 0.05 else None,
            }
            names = ", ".join(values)
            connection.execute(
                f"INSERT INTO devices ({names}) VALUES ({', '.join('?' * len(values))})", [*values.values()]
            )
            if chance.random() < 0.1:
                connection.execute(
                    "INSERT INTO device_updates (device_id, update_id, status, sequence, urgency, updated_at, stuck)"
                    " VALUES (?, ?, ?, 1, 'urgent', 'x', ?)",
                    (device, STUCK, chance.choice(("installing", "succeeded")), chance.choice((None, "silent"))),
                )

    service.db.write(work)


def everything(service: Service) -> list[tuple[Device, bool]]:
    """Each device, and whether it is stuck; in the order of the ids."""
    connection = service.db.connection()
    stuck = {
        row["device_id"]
        for row in connection.execute("SELECT * FROM device_updates WHERE status = 'installing' AND stuck IS NOT NULL")
    }
    rows = connection.execute(f"{devices.SELECT} ORDER BY id").fetchall()
    return [(devices.answer(row, service.now), row["id"] in stuck) for row in rows]


def needs_attention(device: Device, stuck: bool) -> bool:
    active = device.state == "active"
    return bool(
        device.state == "pending"
        or device.reenrollment
        or device.cloned_suspected_at
        or (active and device.update is not None and device.update.status in {"failed", "rolled_back"})
        or (active and device.gate is not None and device.gate.decision == "defer"
            and device.gate.reason in device_lists.PROBLEMS)
        or stuck
        or device.presence == "lost"
    )  # fmt: skip


def shown_name(device: Device) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in device.name or device.hostname)


def seen(device: Device) -> datetime:
    return device.last_seen_at or datetime.min.replace(tzinfo=times.utc_now().tzinfo)


def holds(text: str) -> Callable[[Device], bool]:
    def test(device: Device) -> bool:
        names = f"{device.name or ''}\n{device.hostname}".lower()
        return text.lower() in names or device.id.startswith(text.lower())

    return test


FILTERS: dict[str, tuple[dict[str, Any], Callable[[Device, bool], bool]]] = {
    "all": ({}, lambda *_: True),
    "group": ({"group": "canary"}, lambda device, _: device.group == "canary"),
    "channel": ({"channel": "beta"}, lambda device, _: device.channel == "beta"),
    "version": ({"version": "1.1.0"}, lambda device, _: device.active == "1.1.0"),
    "status": ({"status": "failed"}, lambda device, _: device.update is not None and device.update.status == "failed"),
    "reason": (
        {"reason": "DISK_FULL"},
        lambda device, _: bool(
            device.gate and device.gate.decision == "defer" and device.gate.reason == "DISK_FULL"
        ),
    ),
    "online": ({"presence": "online"}, lambda device, _: device.presence == "online"),
    "late": ({"presence": "late"}, lambda device, _: device.presence == "late"),
    "lost": ({"presence": "lost"}, lambda device, _: device.presence == "lost"),
    "offline": ({"online": "false"}, lambda device, _: not device.online),
    "online too": ({"online": "true"}, lambda device, _: device.online),
    "waits": ({"reenrollment": "true"}, lambda device, _: device.reenrollment is not None),
    "waits not": ({"reenrollment": "false"}, lambda device, _: device.reenrollment is None),
    "cloned": ({"cloned": "true"}, lambda device, _: device.cloned_suspected_at is not None),
    "attention": ({"attention": "true"}, needs_attention),
    "no attention": ({"attention": "false"}, lambda device, stuck: not needs_attention(device, stuck)),
    "search": ({"q": "KITCHEN"}, lambda device, _: holds("kitchen")(device)),
    "search folds other letters too": ({"q": "KÜCHE"}, lambda device, _: holds("küche")(device)),
    "search short": ({"q": "pi"}, lambda device, _: holds("pi")(device)),
    "search id": ({"q": "0195E0C8-000"}, lambda device, _: holds("0195e0c8-000")(device)),
    "search signs": ({"q": "n 100%"}, lambda device, _: holds("n 100%")(device)),
    "search short signs": ({"q": "_w"}, lambda device, _: holds("_w")(device)),
    "search quotes": ({"q": '" OR "'}, lambda device, _: False),
    "several": (
        {"group": "rest", "presence": "late", "attention": "true", "q": "i"},
        lambda device, stuck: (
            device.group == "rest" and device.presence == "late" and needs_attention(device, stuck)
            and holds("i")(device)
        ),
    ),
}  # fmt: skip
ORDERS: dict[str, Callable[[Device], Any]] = {
    "registered": lambda device: device.id,
    "name": lambda device: (shown_name(device), device.id),
    "seen": lambda device: (seen(device), device.id),
}


def pages(service: Service, given: dict[str, Any]) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        query = wire.DeviceQuery.model_validate(given | {"limit": "7", "cursor": cursor})
        page = device_lists.list_page(service.db.connection(), query, service.now)
        found += [device.id for device in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == 7


@pytest.mark.parametrize("common", [False, True])
def test_each_filter_in_each_order_finds_what_it_says(
    service: Service, monkeypatch: pytest.MonkeyPatch, common: bool
) -> None:
    monkeypatch.setattr(device_lists, "_MANY", 3 if common else 1_000)  # how many matches are many
    fill(service)
    all_of_them = everything(service)
    for name, (query, wanted) in FILTERS.items():
        for state in ("active", "pending", "decommissioned"):
            fitting = [device for device, stuck in all_of_them if device.state == state and wanted(device, stuck)]
            if name == "all":
                assert len(fitting) > 10
            for order, key in ORDERS.items():
                expected = [device.id for device in sorted(fitting, key=key)]
                given = query | {"state": state}
                assert pages(service, given | {"sort": order}) == expected, (name, state, order)
                assert pages(service, given | {"sort": f"-{order}"}) == expected[::-1], (name, state, order)


def test_a_search_follows_a_change_of_names(service: Service) -> None:
    service.register()
    key = service.key("operator")

    def found(text: str) -> int:
        return len(service.request("GET", f"/api/v1/devices/?q={text}", key=key).get_json()["items"])

    address = service.request("GET", "/api/v1/devices/", key=key).get_json()["items"][0]["id"]
    assert (found("kitch"), found("lounge")) == (1, 0)
    for name, expected in (("The lounge", 1), ("Attic", 0), (None, 0)):
        service.request("PATCH", f"/api/v1/devices/{address}", {"name": name}, key=key)
        assert (found("kitch"), found("lounge")) == (1, expected)
    service.db.write(lambda connection: connection.execute("DELETE FROM devices"))
    assert service.db.connection().execute("SELECT count(*) FROM device_names").fetchone()[0] == 0
    assert found("kitch") == 0


def test_heartbeats_do_not_touch_what_is_searched(service: Service) -> None:
    service.register()
    service.beat()
    written: list[str] = []

    def work(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(written.append)

    service.db.write(work)
    service.now += timedelta(minutes=5)
    service.beat("1.1.0")
    service.db.write(lambda connection: connection.set_trace_callback(None))
    assert [line for line in written if "UPDATE devices" in line]
    assert not [line for line in written if "device_names" in line or "device_trigrams" in line]


@pytest.mark.parametrize("given", ["WzFd", "MQ", "WyJhIiwgMV0", "bnVsbA"])
def test_a_cursor_of_another_order_is_refused(service: Service, given: str) -> None:
    query = wire.DeviceQuery.model_validate({"sort": "name", "cursor": given})
    with pytest.raises(InvalidError, match="of a list in another order"):
        device_lists.list_page(service.db.connection(), query, service.now)


@pytest.mark.parametrize(
    "query", ["q=", "q=a%00b", "q=" + "x" * 101, "sort=mood", "attention=perhaps", "reason=no+word"]
)
def test_what_makes_no_sense_is_refused(service: Service, query: str) -> None:
    answer = service.request("GET", f"/api/v1/devices/?{query}", key=service.key("viewer"))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(query.partition("=")[0])


def test_what_devices_can_be_filtered_by(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = device_lists.Choices([], [], [], [])
    assert device_lists.choices(service.db.connection(), "active") == nothing
    fill(service)
    found = device_lists.choices(service.db.connection(), "active")
    assert found == device_lists.Choices(["canary", "rest"], ["beta", "stable"], ["1.0.0", "1.1.0"], sorted(REASONS))
    monkeypatch.setattr(device_lists, "MOST_CHOICES", 1)
    assert device_lists.choices(service.db.connection(), "active").groups == ["canary"]


def explained(service: Service, given: dict[str, Any]) -> list[str]:
    """How SQLite goes about the list."""
    connection, asked = service.db.connection(), list[str]()
    connection.set_trace_callback(asked.append)
    device_lists.list_page(connection, wire.DeviceQuery.model_validate(given), service.now)
    connection.set_trace_callback(None)
    listed = next(line for line in asked if " ORDER BY " in line)
    return [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {listed}")]


@pytest.mark.parametrize(
    "query",
    [
        {"reason": "DISK_FULL"}, {"attention": "true"}, {"q": "kitchen"}, {"q": "kitchen", "group": "canary"},
        {"reenrollment": "true"}, {"cloned": "true"}, {"sort": "-registered"}, {"sort": "name"}, {"sort": "-name"},
    ],
)  # fmt: skip
def test_what_has_an_index_looks_at_no_device_in_vain(service: Service, query: dict[str, Any]) -> None:
    plan = explained(service, query)
    few = "devices_pending_since", "devices_cloned_suspected_at"  # are in these
    assert not [line for line in plan if line.startswith("SCAN devices") and not line.endswith(few)], plan


@pytest.mark.parametrize("query", [{"sort": "seen"}, {"sort": "name", "group": "canary"}])
def test_what_has_none_is_one_pass_over_the_devices(service: Service, query: dict[str, Any]) -> None:
    assert [line for line in explained(service, query) if line.startswith("S")] == ["SCAN devices"]
