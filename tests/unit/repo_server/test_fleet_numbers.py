"""The counts that the database keeps are what would be counted, whatever happens; and the fleet's history."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from repo_server import answers, housekeeping
from repo_server.config import Settings
from repo_server.context import KEY
from repo_server.counts import biggest
from repo_server.store import fleet, history
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, announcement, registration, status
from tests.unit.repo_server.conftest import Service, serving

HISTORY = "/api/v1/fleet/history"


def counted(service: Service) -> tuple[dict[Any, int], dict[Any, int]]:
    connection = service.db.connection()
    statuses = connection.execute("SELECT update_id, status, count(*) FROM device_updates GROUP BY 1, 2")
    audience = connection.execute(
        "SELECT assistant, channel, count(*) FROM devices WHERE state = 'active' GROUP BY 1, 2"
    )
    return {tuple(row)[:2]: row[2] for row in statuses}, {tuple(row)[:2]: row[2] for row in audience}


def kept(service: Service) -> tuple[dict[Any, int], dict[Any, int]]:
    connection = service.db.connection()
    statuses = connection.execute("SELECT update_id, status, devices FROM update_counts WHERE devices <> 0")
    audience = connection.execute("SELECT assistant, channel, sum(devices) FROM audience_counts GROUP BY 1, 2")
    return {tuple(row)[:2]: row[2] for row in statuses}, {tuple(row)[:2]: row[2] for row in audience}


def test_the_kept_counts_are_what_would_be_counted(service: Service) -> None:
    operator = service.key("operator")
    one, other = f"/api/v1/devices/{DEVICE}", f"/api/v1/devices/{OTHER_DEVICE}"

    def ask(method: str, path: str, body: object = None, expect: int = 200) -> None:
        assert service.request(method, path, body, key=operator).status_code == expect
        same()

    def same() -> None:
        assert kept(service) == counted(service)

    service.register()
    service.register(Preset(approval=True), id=OTHER_DEVICE, token="other")
    same()
    assert kept(service)[1] == {("sample-assistant", "stable"): 1}
    update = service.announce()
    service.beat()
    same()
    assert kept(service)[0] == {(update, "granted"): 1}
    ask("POST", f"{other}/approve")
    ask("POST", f"/api/v1/updates/{update}/devices/{OTHER_DEVICE}/expedite")  # without a grant before
    ask("POST", f"/api/v1/updates/{update}/devices/{OTHER_DEVICE}/expedite")  # … and again: INSERT OR IGNORE
    assert kept(service)[0] == {(update, "granted"): 2}
    for number, word in enumerate(["refreshed", "downloaded", "downloaded", "installing", "failed"], start=1):
        assert service.report(update, status(number, word)).status_code == 200
        same()
    ask("POST", f"/api/v1/updates/{update}/expedite")
    ask("PATCH", one, {"channel": "beta"})
    service.beat(assistant={"name": "other-assistant", "installed": "1.0.0", "active": "1.0.0"})
    same()
    assert kept(service)[1] == {("other-assistant", "beta"): 1, ("sample-assistant", "stable"): 1}
    ask("DELETE", f"{one}/data", expect=204)
    token = service.enrollment_token()
    flashed = service.request("POST", "/api/v1/devices/", registration(token="of the new card"), token=token)
    assert flashed.status_code == 409
    ask("POST", f"{one}/approve")  # it begins anew: its progress is forgotten
    assert kept(service)[0] == {(update, "granted"): 1}
    ask("DELETE", other, expect=204)
    assert kept(service)[1] == {("other-assistant", "beta"): 1}
    service.db.write(lambda connection: connection.execute("DELETE FROM device_updates"))
    same()


def test_only_the_biggest_have_a_name_of_their_own() -> None:
    assert biggest({"a": 1, "c": 2, "b": 2, "d": 5}, 2) == ({"d": 5, "b": 2}, 3)
    assert biggest({"a": 1}, 2) == ({"a": 1}, 0)
    assert biggest({}, 2) == ({}, 0)


def test_since_when_a_restart_is_due_and_the_clock_wrong(service: Service) -> None:
    def since() -> tuple[Any, ...]:
        columns = "reboot_required_since, clock_unsynchronised_since"
        return tuple(service.db.connection().execute(f"SELECT {columns} FROM devices").fetchone())

    service.register()
    assert since() == (None, None)
    service.beat(reboot_required=True, clock_synchronised=False)
    first = "2026-03-29T01:30:00Z"
    assert since() == (first, first)
    service.now += timedelta(hours=1)
    service.beat(reboot_required=True, clock_synchronised=True)
    assert since() == (first, None)
    service.now += timedelta(hours=1)
    service.beat(reboot_required=False, clock_synchronised=False)
    assert since() == (None, "2026-03-29T03:30:00Z")


def past(service: Service, query: str = "", expect: int = 200) -> Any:
    answer = service.request("GET", f"{HISTORY}?{query}", key=service.key("viewer"))
    assert answer.status_code == expect, answer.json
    return answer.get_json()


def sampled(service: Service, hours: int = 0, kept_samples: int = 100) -> bool:
    service.now += timedelta(hours=hours)
    return housekeeping.sample(service.db, kept_samples, service.now)


def test_one_sample_an_hour_tells_what_the_fleet_was(service: Service) -> None:
    assert past(service) == {"items": [], "next_cursor": None}
    service.register()
    service.beat()
    housekeeping.tick(service.app.extensions[KEY])
    service.now += timedelta(minutes=29)  # 01:59
    service.register(id=OTHER_DEVICE, token="other")
    assert not sampled(service)
    service.now += timedelta(minutes=1)
    service.beat("1.1.0", device=OTHER_DEVICE, token="other")
    assert sampled(service)
    assert past(service)["items"] == [
        {"at": "2026-03-29T01:30:00Z", "online": 1, "late": 0, "lost": 0, "pending": 0, "held": 0,
         "versions": {"1.0.0": 1}, "other_versions": 0},
        {"at": "2026-03-29T02:00:00Z", "online": 1, "late": 1, "lost": 0, "pending": 0, "held": 0,
         "versions": {"1.0.0": 1, "1.1.0": 1}, "other_versions": 0},
    ]  # fmt: skip


def test_a_restart_in_the_same_hour_adds_nothing(service: Service) -> None:
    assert sampled(service)
    service.db.close()
    with serving(service.settings) as again:
        assert not sampled(again)
        assert len(past(again)["items"]) == 1


def test_the_history_is_paged_and_bounded_by_its_parameters(service: Service) -> None:
    for _ in range(5):
        assert sampled(service, hours=1)  # 02:30 … 06:30
    first = past(service, "limit=2")
    second = past(service, f"limit=2&cursor={first['next_cursor']}")
    third = past(service, f"limit=2&cursor={second['next_cursor']}")
    hours = [item["at"][11:13] for page in (first, second, third) for item in page["items"]]
    assert (hours, third["next_cursor"]) == (["02", "03", "04", "05", "06"], None)
    since = past(service, "since=2026-03-29T03:30:00Z&until=2026-03-29T05:30:00Z")
    assert [item["at"][11:13] for item in since["items"]] == ["03", "04"]
    later = past(service, "since=2026-03-29T03:30:01Z&until=2026-03-29T05:30:01Z")
    assert [item["at"][11:13] for item in later["items"]] == ["04", "05"]
    assert past(service, "since=yesterday", 422)["error"]["message"].startswith("since: ")


def test_only_so_many_samples_are_kept(service: Service) -> None:
    for _ in range(5):
        assert sampled(service, hours=1, kept_samples=3)
    assert [item["at"][11:13] for item in past(service)["items"]] == ["04", "05", "06"]


def test_a_wrong_clock_costs_the_history_one_sample_at_most(service: Service) -> None:
    for _ in range(3):
        assert sampled(service, hours=1, kept_samples=3)
    right = service.now
    before = past(service)["items"]
    service.now = datetime(2040, 1, 1, tzinfo=UTC)
    assert sampled(service, kept_samples=3)
    service.now = right
    assert past(service)["items"] == before[1:]  # nothing of the future
    service.now = datetime(1970, 1, 1, tzinfo=UTC)
    assert sampled(service, kept_samples=3)
    assert not sampled(service, kept_samples=3)  # … and it is not counted again and again meanwhile
    service.now = right
    assert sampled(service, hours=1, kept_samples=3)
    assert [item["at"] for item in past(service)["items"]] == [before[2]["at"], "2026-03-29T05:30:00Z"]


def test_many_versions_take_no_more_room(service: Service) -> None:
    versions = {f"1.{number}.0": 1 + number for number in range(50)}
    counts = answers.DeviceCounts(total=0, online=0, offline=0, late=0, lost=0, pending=0, held=0)
    found = answers.Fleet(devices=counts, versions=versions, reasons={}, updates=[], server_time=service.now)
    service.db.write(lambda connection: history.add(connection, found, 10))
    (item,) = past(service)["items"]
    assert list(item["versions"]) == [f"1.{number}.0" for number in range(49, 29, -1)]
    assert sum(item["versions"].values()) + item["other_versions"] == sum(versions.values())


def test_a_long_time_is_read_in_few_samples(service: Service) -> None:
    begin = service.now
    for hours in (1, 1, 1, 5, 1):  # 02:30 03:30 04:30 09:30 10:30
        assert sampled(service, hours=hours)
    found = history.thinned(service.db.connection(), begin, service.now, 3)
    assert [item.at.hour for item in found] == [2, 4, 10]


def test_samples_that_fail_are_taken_later(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the housekeeping does is done all the same."""
    service.register(token=TOKEN)
    service.beat()
    service.beat()

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    service.now += timedelta(days=30)
    with monkeypatch.context() as broken:
        broken.setattr(history, "add", fails)
        with pytest.raises(sqlite3.OperationalError):
            housekeeping.tick(service.app.extensions[KEY])
    assert service.db.connection().execute("SELECT count(*) FROM heartbeats").fetchone()[0] == 1
    assert past(service)["items"] == []
    housekeeping.tick(service.app.extensions[KEY])
    assert len(past(service)["items"]) == 1


def test_the_settings_say_how_long_it_is_kept() -> None:
    assert Settings(state_dir="x", fleet_history_days=2).samples_kept == 48  # type: ignore[arg-type]


def test_no_number_of_the_fleet_is_counted_over_all_progress(service: Service) -> None:
    """It grows with every release, and is kept by the database instead."""
    connection = service.db.connection()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    fleet.summary(connection, service.now)
    connection.set_trace_callback(None)
    for statement in (one for one in statements if one.startswith("SELECT")):
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [line for line in plan if line == "SCAN device_updates"], plan
        assert not [line for line in plan if line == "SCAN devices"], plan


def test_a_database_from_before_begins_with_what_is_there(service: Service) -> None:
    """The step counts what was recorded before it."""
    service.register()
    update = service.announce()
    service.beat()
    service.request("POST", "/api/v1/updates/", announcement("1.2.0"), key=service.key("builder"))
    before = counted(service)

    def undo(connection: sqlite3.Connection) -> None:
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE name IN ('devices_joined', 'devices_moved', 'devices_left',"
            " 'device_updates_added', 'device_updates_moved', 'device_updates_removed', 'update_counts',"
            " 'audience_counts', 'fleet_samples', 'devices_held', 'device_updates_stuck', 'device_updates_failed',"
            " 'devices_reboot_required_since', 'devices_clock_unsynchronised_since') ORDER BY type DESC"
        ).fetchall():
            connection.execute(f"DROP {kind} IF EXISTS {name}")
        for column in ("reboot_required_since", "clock_unsynchronised_since"):
            connection.execute(f"ALTER TABLE devices DROP COLUMN {column}")
        connection.execute("UPDATE devices SET reboot_required = 1, clock_synchronised = 0")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = '0012_fleet_history_and_counts'")

    service.db.write(undo)
    service.db.close()
    with serving(service.settings) as again:
        assert kept(again) == counted(again) == before
        assert before[0] == {(update, "granted"): 1}
        row = again.db.connection().execute("SELECT reboot_required_since, clock_unsynchronised_since FROM devices")
        assert tuple(row.fetchone()) == ("2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z")
