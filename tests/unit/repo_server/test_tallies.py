"""Counting a large channel's devices beside the requests."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest

from repo_server.events import Event
from repo_server.store import rollouts, update_pages, updates, wave_counts
from repo_server.tallies import COUNTED, Tallies
from repo_server.wire import PageQuery
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import CANARY, end, fleet, offered, patch

LONG = 60.0


class Told:
    """What was published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, events: list[Event]) -> None:
        self.events += events


@pytest.fixture
def told() -> Told:
    return Told()


def large(service: Service, told: Told) -> Tallies:
    """Where two devices are many."""
    return Tallies(service.db, lambda: service.now, told, at_once=2)  # type: ignore[arg-type]


def row(service: Service, update: str) -> sqlite3.Row:
    found = updates.find(service.db.connection(), update)
    assert found is not None
    return found


def test_a_small_channel_is_counted_at_once_and_always_anew(service: Service, told: Told) -> None:
    ids = fleet(service, 2)
    update = service.announce(rollout={"waves": [{"percent": 100}]})
    tallies = large(service, told)
    first = tallies.of(row(service, update))
    assert first is not None
    assert [dict(one) for one in first.by_wave] == [{"waiting": 2}]
    offered(service, ids)
    second = tallies.of(row(service, update))
    assert second is not None
    assert [dict(one) for one in second.by_wave] == [{"granted": 2}]
    assert told.events == []


def test_a_large_channel_is_counted_by_and_by_and_told_once(service: Service, told: Told) -> None:
    ids = fleet(service, 3)
    update = service.announce(rollout={"waves": [{"percent": 100}]})
    tallies = large(service, told)
    assert tallies.of(row(service, update)) is None
    assert tallies.wait(LONG)
    first = tallies.of(row(service, update))
    assert first is not None
    assert (first.at, [dict(one) for one in first.by_wave]) == (service.now, [{"waiting": 3}])
    offered(service, ids)
    assert tallies.of(row(service, update)) is first
    service.now += timedelta(hours=1)
    assert tallies.of(row(service, update)) is first  # shown once more, and counted meanwhile
    assert tallies.wait(LONG)
    later = tallies.of(row(service, update))
    assert later is not None
    assert (later.at, [dict(one) for one in later.by_wave]) == (service.now, [{"granted": 3}])
    assert told.events == [Event(COUNTED, {"id": update})]


def test_other_waves_are_counted_anew(service: Service, told: Told) -> None:
    fleet(service, 3)
    update = service.announce(rollout=CANARY)
    tallies = large(service, told)
    tallies.of(row(service, update))
    assert tallies.wait(LONG)
    assert patch(service, update, {"waves": [CANARY["waves"][0], {"percent": 100}]}).status_code == 200
    assert tallies.of(row(service, update)) is None
    assert tallies.wait(LONG)
    found = tallies.of(row(service, update))
    assert found is not None
    assert [one.total() for one in found.by_wave] == [0, 3]


def test_a_count_that_fails_is_logged_and_done_again(
    service: Service, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fleet(service, 3)
    update = service.announce(rollout=CANARY)
    tallies = large(service, told)
    whole = wave_counts.by_wave

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(wave_counts, "by_wave", fail)
    assert tallies.of(row(service, update)) is None
    assert tallies.wait(LONG)
    assert "counting the devices of an update failed" in caplog.text
    monkeypatch.setattr(wave_counts, "by_wave", whole)
    assert tallies.of(row(service, update)) is None
    assert tallies.wait(LONG)
    assert tallies.of(row(service, update)) is not None


def test_what_is_counted_is_what_the_api_tells(service: Service) -> None:
    ids = fleet(service, 12)
    update = service.announce(rollout={"waves": [{"percent": 30, "dwell_seconds": 60}, {"percent": 100}]})
    for one in offered(service, ids)[:2]:
        end(service, update, one, "installing", "succeeded")
    counted = wave_counts.by_wave(service.db.connection(), row(service, update))
    assert [dict(sorted(one.items())) for one in counted] == [
        wave["statuses"] for wave in service.update(update)["rollout"]["waves"]
    ]


@pytest.mark.parametrize("statuses", [frozenset(), frozenset({"failed", "rolled_back"}), frozenset({"granted"})])
def test_a_page_of_devices_is_read_from_an_index_in_its_order(service: Service, statuses: frozenset[str]) -> None:
    connection = service.db.connection()
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    update_pages.devices(connection, "x", statuses, PageQuery(limit=2))
    update_pages.stuck(connection, "x", PageQuery(limit=2))
    connection.set_trace_callback(None)
    assert len(asked) == 2
    for text in asked:
        plan = [one["detail"] for one in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        assert not [one for one in plan if one.startswith("SCAN d")], plan
        if "installing" not in text:  # the stuck ones are few, and sorted
            inner = [one for one in plan if "device_updates" in one and "INDEX" in one]
            assert all("update_id=?" in one for one in inner)
    assert rollouts.stuck_counts(connection) == {}
