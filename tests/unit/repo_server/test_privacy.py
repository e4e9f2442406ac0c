"""What is kept about a home is given out whole, and erased."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from repo_server import privacy
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat, status
from tests.unit.repo_server.conftest import Service

ONE = f"/api/v1/devices/{DEVICE}"
SECRET = "Traceback: the neighbour's name"


@pytest.fixture
def home(service: Service) -> Service:
    """A home of which much is known, beside another one; the update that both have is announced."""
    service.register(hostname="attic-of-ada")
    service.register(id=OTHER_DEVICE, token="other", hostname="other-home")
    service.request("PATCH", ONE, {"name": "Ada's"}, key=service.key("operator"))
    update = service.announce()
    for number in range(5):
        service.now += timedelta(minutes=5)
        service.beat(idle_seconds=4_700 + number)
        service.beat(device=OTHER_DEVICE, token="other", idle_seconds=8_800 + number)
    words = [status(1, "refreshed"), status(2, "failed", detail=SECRET, log_tail=SECRET)]
    service.report(update, *words)
    service.report(update, *words, device=OTHER_DEVICE, token="other")
    return service


def exported(service: Service, device: str = DEVICE) -> Any:
    answer = service.request("GET", f"/api/v1/devices/{device}/export", key=service.key("operator"))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return answer.get_json()


def idle(service: Service, device: str = DEVICE) -> list[int]:
    return [one["idle_seconds"] for one in exported(service, device)["heartbeats"]]


def test_all_that_is_kept_is_given_out_and_of_nobody_else(home: Service) -> None:
    given = exported(home)
    assert [one["idle_seconds"] for one in given["heartbeats"]] == [4_700, 4_701, 4_702, 4_703, 4_704]
    assert given["device"]["hostname"] == "attic-of-ada"
    assert [(one["status"], one["log_tail"]) for one in given["updates"]] == [("failed", SECRET)]
    assert [one["status"] for one in given["events"]] == ["granted", "refreshed", "failed"]
    assert [one["action"] for one in given["audit"]] == ["device.register", "device.change"]
    text = str(given)
    assert OTHER_DEVICE not in text
    hashes = [row[0] for row in home.db.connection().execute("SELECT token_sha256 FROM devices")]
    assert not [one for one in hashes if one in text]


def test_every_table_that_names_a_device_is_in_it(home: Service) -> None:
    """Whoever adds one has to decide what an export and an erasure do with it."""
    names = home.db.connection().execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = {
        row["name"]
        for row in names
        if "device_id" in {column["name"] for column in home.db.connection().execute(f"PRAGMA table_info({row[0]})")}
    }
    known = {"heartbeats", "device_updates", "device_update_events"}
    # When its silence begins to count; and the names that the device's row has. Triggers keep both as the row is.
    of_no_home = {"presence", "device_names"}
    assert tables == known | of_no_home


def test_an_erased_home_leaves_nothing_and_the_device_goes_on(home: Service) -> None:
    home.request("PATCH", ONE, {"name": None}, key=home.key("operator"))
    for _ in range(2):
        assert home.request("DELETE", f"{ONE}/data", key=home.key("operator")).status_code == 204
    given = exported(home)
    assert (given["heartbeats"], given["events"]) == ([], [])
    assert [(one["status"], one["detail"], one["log_tail"]) for one in given["updates"]] == [("failed", None, None)]
    assert given["device"]["idle_seconds"] is None
    assert [one["action"] for one in given["audit"]][-2:] == ["device.erase", "device.erase"]
    assert idle(home, OTHER_DEVICE) == [8_800, 8_801, 8_802, 8_803, 8_804]
    fleet = home.request("GET", "/api/v1/fleet", key=home.key("viewer")).get_json()
    assert fleet["updates"][0]["statuses"] == {"failed": 2}  # the rollout's numbers stay true
    home.beat(idle_seconds=1)
    home.beat(device=OTHER_DEVICE, token="other", idle_seconds=8_805)
    home.beat(idle_seconds=2)
    assert (idle(home), len(idle(home, OTHER_DEVICE))) == ([1, 2], 6)


def test_a_repeated_status_is_no_news_after_an_erasure(home: Service) -> None:
    home.request("DELETE", f"{ONE}/data", key=home.key("operator"))
    update = exported(home)["updates"][0]["update_id"]
    assert home.report(update, status(2, "failed", detail=SECRET)).status_code == 200
    assert exported(home)["updates"][0]["detail"] is None


def test_a_retired_device_is_erased_with_its_names(home: Service) -> None:
    home.request("PATCH", ONE, {"group": "attics", "hold": "Ada is ill"}, key=home.key("operator"))
    assert home.request("DELETE", f"{ONE}?erase=true", key=home.key("operator")).status_code == 204
    row = exported(home)["device"]
    assert (row["hostname"], row["name"], row["group_name"], row["hold"]) == ("erased", None, None, None)
    assert row["state"] == "decommissioned"
    assert idle(home) == []
    assert home.request("POST", f"{ONE}/heartbeat", heartbeat(), token=TOKEN).status_code == 410


def test_without_the_word_a_retired_device_s_history_stays(home: Service) -> None:
    assert home.request("DELETE", ONE, key=home.key("operator")).status_code == 204
    assert len(idle(home)) == 5


def test_heartbeats_that_come_meanwhile_stay(home: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of after the request; and ids that are given out again lead nowhere."""
    monkeypatch.setattr(privacy, "_BATCH", 2)
    write, count = home.db.write, 0

    def meanwhile(work: Any, *more: Any) -> Any:
        nonlocal count
        done = write(work, *more)
        count += 1
        if count == 3:
            monkeypatch.setattr(home.db, "write", write)
            home.beat(idle_seconds=1)
        return done

    monkeypatch.setattr(home.db, "write", meanwhile)
    privacy.erase(home.db, DEVICE, "test", home.now)
    for number in range(3):
        home.beat(device=OTHER_DEVICE, token="other", idle_seconds=number)
    assert idle(home) == [1]
    home.beat(idle_seconds=2)
    assert idle(home) == [1, 2]


def test_an_erasure_that_was_ended_in_between_is_finished_by_the_next(
    home: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "_BATCH", 2)
    write, left = home.db.write, [None, None]

    def ended(work: Any, *more: Any) -> Any:
        if not left:
            raise sqlite3.OperationalError("the disk is full")
        left.pop()
        return write(work, *more)

    with monkeypatch.context() as patched:
        patched.setattr(home.db, "write", ended)
        with pytest.raises(sqlite3.OperationalError):
            privacy.erase(home.db, DEVICE, "test", home.now)
    assert idle(home) == [4_704]
    privacy.erase(home.db, DEVICE, "test", home.now)
    assert idle(home) == []
    assert len(idle(home, OTHER_DEVICE)) == 5


@pytest.mark.parametrize(("method", "path"), [("GET", "export"), ("DELETE", "data")])
def test_nothing_is_known_of_a_device_that_is_not_there(service: Service, method: str, path: str) -> None:
    assert service.request(method, f"{ONE}/{path}", key=service.key("operator")).status_code == 404
