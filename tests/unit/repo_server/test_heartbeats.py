"""Heartbeats with offers, and the statuses that follow."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from repo_server.store import credentials
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, announcement, heartbeat, status
from tests.unit.repo_server.conftest import Service


def progress(service: Service, update: str) -> list[Any]:
    path = f"/api/v1/updates/{update}/devices"
    return list(service.request("GET", path, key=service.key("viewer")).get_json()["items"])


def events(service: Service) -> list[tuple[Any, ...]]:
    rows = service.db.connection().execute("SELECT sequence, status, verdict FROM device_update_events ORDER BY id")
    return [tuple(row) for row in rows]


def test_a_heartbeat_without_anything_new(service: Service) -> None:
    service.register()
    assert service.beat() == {
        "server_time": "2026-03-29T01:30:00Z",
        "next_heartbeat_seconds": 300,
        "channel": "stable",
        "hold": None,
        "offer": None,
        "withheld": None,
        "timezone": None,
        "state": "active",
        "rotate_token": False,
    }


def test_an_offer_keeps_its_time_from_heartbeat_to_heartbeat(service: Service) -> None:
    service.register()
    update = service.announce(urgency="urgent")
    expected = {
        "update_id": update, "name": "sample-assistant", "version": "1.1.0", "urgency": "urgent",
        "granted_at": "2026-03-29T01:30:00Z", "expedited": False,
    }  # fmt: skip
    for _ in range(3):
        assert service.beat()["offer"] == expected
        service.now += timedelta(hours=1)
    assert [item["status"] for item in progress(service, update)] == ["granted"]
    assert events(service) == [(None, "granted", "applied")]


def test_every_heartbeat_is_kept_with_what_it_said(service: Service) -> None:
    service.register()
    service.beat("1.0.0")
    service.now += timedelta(minutes=5)
    service.beat(None, gate={"decision": "nothing"})
    rows = service.db.connection().execute("SELECT received_at, installed, gate_decision FROM heartbeats ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("2026-03-29T01:30:00Z", "1.0.0", None),
        ("2026-03-29T01:35:00Z", None, "nothing"),
    ]


def test_an_update_for_another_channel_assistant_or_target_is_not_offered(service: Service) -> None:
    service.register()
    service.announce("1.1.0", channel="beta")
    service.announce("1.2.0", name="other-assistant", packages=[announcement("1.2.0")["packages"][0]])
    only_bookworm = announcement("1.3.0")["packages"]
    for package in only_bookworm:
        package["debian"] = "bookworm"
    service.announce("1.3.0", packages=only_bookworm)
    assert service.beat()["offer"] is None
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"channel": "beta"}, key=service.key("operator"))
    answer = service.beat()
    assert (answer["channel"], answer["offer"]["version"]) == ("beta", "1.1.0")


def test_a_pause_takes_the_offer_back_and_a_resume_grants_anew(service: Service) -> None:
    service.register()
    update, operator = service.announce(), service.key("operator")
    assert service.beat()["offer"]["granted_at"] == "2026-03-29T01:30:00Z"
    for verb, state in (("pause", "paused"), ("pause", "paused"), ("halt", "halted")):
        answer = service.request("POST", f"/api/v1/updates/{update}/{verb}", key=operator)
        assert (answer.status_code, answer.get_json()["state"]) == (200, state)
        answer = service.beat()
        assert answer["offer"] is None
        assert answer["withheld"] == {"update_id": update, "version": "1.1.0", "reason": state.upper()}
    service.request("POST", f"/api/v1/updates/{update}/resume", key=operator)
    service.now += timedelta(days=1)
    assert service.beat()["offer"]["granted_at"] == "2026-03-30T01:30:00Z"
    actions = [row[0] for row in service.db.connection().execute("SELECT action FROM audit_log ORDER BY id")]
    assert [action for action in actions if action.startswith("update.")] == [
        "update.announce", "update.paused", "update.halted", "update.active",
    ]  # fmt: skip


def test_an_operators_zone_is_told_until_it_is_cleared(service: Service) -> None:
    service.register()
    assert service.beat("1.0.0")["timezone"] is None
    operator = service.key("operator")
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"timezone": "Asia/Kolkata"}, key=operator)
    assert service.beat("1.0.0")["timezone"] == "Asia/Kolkata"
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"timezone": None}, key=operator)
    assert service.beat("1.0.0")["timezone"] is None


def test_a_hold_is_told_in_the_operators_words(service: Service) -> None:
    service.register()
    service.announce()
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"hold": "guests"}, key=service.key("operator"))
    answer = service.beat()
    assert (answer["hold"], answer["offer"], answer["withheld"]["reason"]) == ("guests", None, "HELD_BY_ADMIN")


def test_the_way_to_success(service: Service) -> None:
    service.register()
    update = service.announce()
    service.beat()
    words = [
        "refreshed",
        "downloading",
        "downloaded",
        "deferred",
        "installing",
        "activating",
        "restarting",
        "verifying",
    ]
    for sequence, word in enumerate(words, start=1):
        assert service.report(update, status(sequence, word)).json == {"acknowledged": sequence}
        assert service.beat()["offer"]["update_id"] == update
    assert service.report(update, status(9, "succeeded")).json == {"acknowledged": 9}
    assert service.beat("1.1.0")["offer"] is None
    (item,) = progress(service, update)
    assert item == {
        "device_id": DEVICE, "status": "succeeded", "reason": None, "retry_at": None, "detail": None, "log_tail": None,
        "sequence": 9, "updated_at": "2026-03-29T01:30:00Z", "stuck": None, "expedited": False,
    }  # fmt: skip


def test_a_rollback_is_shown_with_its_log_and_not_offered_here_again(service: Service) -> None:
    service.register()
    update = service.announce()
    service.beat()
    service.report(update, status(1, "installing"), status(2, "rolled_back", detail="exit 1", log_tail="Traceback\n"))
    answer = service.beat("1.1.0", active="1.0.0")
    assert answer["withheld"] == {"update_id": update, "version": "1.1.0", "reason": "FAILED_HERE"}
    path = f"/api/v1/updates/{update}/devices/{DEVICE}/events"
    events = service.request("GET", path, key=service.key("viewer")).get_json()["items"]
    assert events[-1]["sequence"] is not None, "the story ends with the device's own word"
    (item,) = progress(service, update)
    assert (item["status"], item["detail"], item["log_tail"]) == ("rolled_back", "exit 1", "Traceback\n")


def test_a_repeated_batch_changes_nothing(service: Service) -> None:
    service.register()
    update = service.announce()
    batch = (status(1, "refreshed"), status(2, "deferred", reason="BUSY"))
    assert service.report(update, *batch).json == {"acknowledged": 2}
    before = service.dump()
    assert service.report(update, *batch).json == {"acknowledged": 2}
    assert service.report(update, batch[0]).json == {"acknowledged": 1}
    assert service.dump() == before


def test_a_batch_is_taken_in_the_order_of_its_sequence_numbers(service: Service) -> None:
    service.register()
    update = service.announce()
    assert service.report(update, status(3, "succeeded"), status(1, "refreshed"), status(2, "installing")).json == {
        "acknowledged": 3
    }
    assert events(service) == [(1, "refreshed", "applied"), (2, "installing", "applied"), (3, "succeeded", "applied")]


def test_illegal_and_late_ones_are_recorded_acknowledged_and_change_nothing(service: Service) -> None:
    service.register()
    update = service.announce()
    service.report(update, status(5, "rolled_back"))
    assert service.report(update, status(6, "failed"), status(4, "installing")).json == {"acknowledged": 6}
    assert service.report(update, status(7, "failed", version="9.9")).json == {"acknowledged": 7}
    assert [(item["status"], item["sequence"]) for item in progress(service, update)] == [("rolled_back", 5)]
    assert events(service) == [
        (5, "rolled_back", "applied"), (4, "installing", "stale"), (6, "failed", "illegal"), (7, "failed", "illegal"),
    ]  # fmt: skip


def test_statuses_of_an_unknown_update_are_not_found(service: Service) -> None:
    service.register()
    before = service.dump()
    answer = service.report(OTHER_DEVICE, status(1, "refreshed"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (404, "not_found")
    assert service.dump() == before


def test_recorded_events_cannot_be_changed(service: Service) -> None:
    service.register()
    service.report(service.announce(), status(1, "refreshed"))
    for table in ("device_update_events", "audit_log"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            service.db.write(lambda connection: connection.execute(f"UPDATE {table} SET id = id + 100"))  # noqa: B023


def test_the_fleets_numbers_add_up(service: Service) -> None:
    update = service.announce()
    for number, word in enumerate(["succeeded", "succeeded", "deferred", None], start=1):
        device = f"0195e0c8-0000-7000-8000-00000000000{number}"
        service.register(id=device, token=device)
        if word is None:
            continue
        gate = {"decision": "defer", "reason": "BUSY"} if word == "deferred" else {"decision": "nothing"}
        service.beat("1.1.0" if word == "succeeded" else "1.0.0", device=device, token=device, gate=gate)
        service.report(update, status(1, word), device=device, token=device)
    gone = "0195e0c8-0000-7000-8000-000000000009"
    service.register(id=gone, token=gone)
    service.beat("0.9", device=gone, token=gone)
    service.request("DELETE", f"/api/v1/devices/{gone}", key=service.key("operator"))
    waiting = "0195e0c8-0000-7000-8000-00000000000a"
    service.register(credentials.Preset(approval=True), id=waiting, token=waiting)
    service.beat("1.0.0", device=waiting, token=waiting)
    for held in ("0195e0c8-0000-7000-8000-000000000004", waiting):
        service.request("PATCH", f"/api/v1/devices/{held}", {"hold": "guests"}, key=service.key("operator"))
    assert service.request("GET", "/api/v1/fleet", key=service.key("viewer")).json == {
        "devices": {"total": 4, "online": 3, "offline": 1, "late": 1, "lost": 0, "pending": 1, "held": 1},
        "versions": {"1.0.0": 1, "1.1.0": 2},
        "reasons": {"BUSY": 1},
        "updates": [
            {
                "id": update, "name": "sample-assistant", "version": "1.1.0", "channel": "stable",
                "urgency": "scheduled", "state": "active", "statuses": {"deferred": 1, "granted": 1, "succeeded": 2},
                "stuck": 0,
            }
        ],
        "server_time": "2026-03-29T01:30:00Z",
    }  # fmt: skip


def test_a_heartbeat_may_not_be_larger_than_64_kilobytes(service: Service) -> None:
    service.register()
    path = f"/api/v1/devices/{DEVICE}/heartbeat"
    padded = (" " * 70_000).encode()
    answer = service.request("POST", path, data=padded, content_type="application/json", token="device-token-for-tests")
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (413, "too_large")
    assert heartbeat()["idle_seconds"] == 120


def test_a_restart_that_is_asked_for_is_shown_until_a_heartbeat_no_longer_says_so(service: Service) -> None:
    service.register()

    def shown() -> tuple[Any, ...]:
        items = service.request("GET", "/api/v1/devices/", key=service.key("viewer")).get_json()["items"]
        page = service.request("GET", f"/api/v1/devices/{DEVICE}", key=service.key("viewer")).get_json()
        return items[0]["reboot_required"], page["reboot_required"]

    assert shown() == (False, False)
    service.beat("1.0.0", reboot_required=True)
    assert shown() == (True, True)
    service.beat("1.0.0")
    assert shown() == (False, False)
    rows = service.db.connection().execute("SELECT reboot_required FROM heartbeats ORDER BY id")
    assert [tuple(row) for row in rows] == [(1,), (0,)]


def test_a_device_that_was_upgraded_is_offered_what_is_for_its_new_release(service: Service) -> None:
    """At once, in the same answer; and it keeps it in mind, as later heartbeats do not say it again."""
    service.register()
    both = announcement("1.1.0")["packages"]
    update = service.announce("1.1.0", packages=[{**one, "debian": "trixie"} for one in both])
    service.db.write(lambda work: work.execute("UPDATE devices SET debian = 'bookworm'"))
    assert service.beat("1.0.0")["offer"] is None
    assert service.beat("1.0.0", debian="trixie")["offer"]["update_id"] == update
    assert service.beat("1.0.0")["offer"]["update_id"] == update
    row = service.db.connection().execute("SELECT debian FROM devices").fetchone()
    assert row["debian"] == "trixie"
    counted = service.db.connection().execute("SELECT debian, devices FROM audience_counts").fetchall()
    assert [tuple(one) for one in counted] == [("trixie", 1)]


def test_a_release_that_an_upgrade_of_debian_has_removed_may_be_installed_again(service: Service) -> None:
    """It is what had succeeded on the system before; on the new one it has other packages."""
    service.register()
    packages = announcement("1.1.0")["packages"]
    both = [{**one, "debian": debian} for debian in ("bookworm", "trixie") for one in packages]
    update = service.announce("1.1.0", packages=both)
    service.db.write(lambda work: work.execute("UPDATE devices SET debian = 'bookworm'"))
    assert service.beat("1.0.0")["offer"]["update_id"] == update
    words = [
        "refreshed",
        "downloading",
        "downloaded",
        "installing",
        "activating",
        "restarting",
        "verifying",
        "succeeded",
    ]
    done = service.report(update, *(status(number, word) for number, word in enumerate(words, 1)))
    assert done.status_code == 200
    assert service.beat("1.1.0", active="1.1.0")["offer"] is None
    # By hand, on the same system, it stays away; and so it does where it is still there after an upgrade.
    assert service.beat(None, active=None)["offer"] is None
    assert service.beat("1.1.0", active="1.1.0", debian="trixie")["offer"] is None
    assert service.beat(None, active=None, debian="bookworm")["offer"]["update_id"] == update
    again = service.report(update, *(status(number, word) for number, word in enumerate(words, 9)))
    assert again.status_code == 200
    assert service.beat("1.1.0", active="1.1.0")["offer"] is None
