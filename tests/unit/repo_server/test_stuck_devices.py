"""Devices that get stuck in an update, and what that means for its rollout, over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from repo_server.store import rollouts
from tests.support.fleet_bodies import DEVICE
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import CANARY, beat, end, fleet, fleet_stuck, offered, stuck


def test_a_device_that_never_came_back_counts_as_failed_and_halts(service: Service) -> None:
    ids = fleet(service, 4)
    update = service.announce(rollout={"failure_limit": {"count": 2}})
    offered(service, ids)
    end(service, update, ids[0], "installing")
    end(service, update, ids[1], "verifying")
    service.tick(minutes=60)
    assert stuck(service, update, ids[0]) is None
    service.tick(seconds=1)
    shown = service.update(update)["rollout"]
    assert (shown["stuck"], shown["failures"], shown["state"]) == ({"silent": 2, "no_progress": 0}, 2, "halted")
    assert shown["statuses"] == {"granted": 2, "installing": 1, "verifying": 1}, "what it said last stays what it said"
    assert (stuck(service, update, ids[0]), stuck(service, update, ids[2]), fleet_stuck(service)) == ("silent", None, 2)
    events = service.request(
        "GET", f"/api/v1/updates/{update}/devices/{ids[0]}/events", key=service.key("viewer")
    ).get_json()["items"]
    assert (events[-1]["sequence"], events[-1]["status"], events[-1]["reason"]) == (None, "installing", "SILENT")


def test_who_comes_back_is_no_failure_any_more_and_the_halt_stays(service: Service) -> None:
    ids = fleet(service, 3)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, ids)
    end(service, update, ids[0], "installing")
    service.tick(hours=2)
    assert service.update(update)["state"] == "halted"
    beat(service, ids[0])
    service.tick(seconds=10)
    shown = service.update(update)["rollout"]
    assert (shown["failures"], shown["stuck"]["silent"], shown["state"]) == (0, 0, "halted")
    assert stuck(service, update, ids[0]) == "no_progress", "it speaks, and says nothing of the update"
    end(service, update, ids[0], "activating", first=2)
    assert stuck(service, update, ids[0]) is None


def test_who_spoke_a_moment_ago_is_not_counted_when_another_fails(service: Service) -> None:
    """Even before the next look at the clock."""
    ids = fleet(service, 3)
    update = service.announce(rollout={"failure_limit": {"count": 2}})
    offered(service, ids)
    end(service, update, ids[0], "installing")
    service.tick(hours=2)
    service.now += timedelta(seconds=5)
    beat(service, ids[0])
    end(service, update, ids[1], "failed")
    assert service.update(update)["state"] == "active"


def test_waiting_is_neither_failing_nor_stuck(service: Service) -> None:
    (one,) = fleet(service, 1)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, [one])
    end(service, update, one, "downloaded", "deferred")
    service.tick(days=6)
    assert (stuck(service, update, one), service.update(update)["state"]) == (None, "active")


def test_heartbeats_without_progress_are_shown_and_do_not_halt(service: Service) -> None:
    (one,) = fleet(service, 1)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, [one])
    end(service, update, one, "restarting")
    for _ in range(5):
        service.tick(minutes=30)
        beat(service, one)
    assert (stuck(service, update, one), service.update(update)["state"]) == ("no_progress", "active")


def test_nobody_is_silent_while_the_server_itself_was_away(service: Service) -> None:
    ids = fleet(service, 2)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, ids)
    end(service, update, ids[0], "installing")
    service.now += timedelta(days=2)
    service.started = service.now
    service.tick(minutes=59)
    assert (stuck(service, update, ids[0]), service.update(update)["state"]) == (None, "active")
    service.tick(minutes=2)
    assert (stuck(service, update, ids[0]), service.update(update)["state"]) == ("silent", "halted")


def test_a_decommissioned_device_does_not_become_silent(service: Service) -> None:
    (one,) = fleet(service, 1)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, [one])
    end(service, update, one, "installing")
    service.request("DELETE", f"/api/v1/devices/{one}", key=service.key("operator"))
    service.tick(days=1)
    assert (stuck(service, update, one), service.update(update)["state"]) == (None, "active")


def test_looking_at_the_clock_writes_nothing_where_nothing_is_due(service: Service) -> None:
    ids = fleet(service, 2)
    update = service.announce(rollout=CANARY)
    end(service, update, ids[0], "installing")
    before = service.dump()
    service.tick(minutes=10)
    assert service.dump() == before


@pytest.mark.parametrize("how", ["expedited", "one expedited", "came back", "succeeded"])
def test_an_accepted_failure_that_is_none_any_more_excuses_no_new_one(service: Service, how: str) -> None:
    ids = fleet(service, 3)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, ids)
    end(service, update, ids[0], "installing", *(["failed"] if "expedited" in how else []))
    service.tick(hours=2)
    service.steer(update, "resume")
    if how == "expedited":
        service.steer(update, "expedite")
    elif how == "one expedited":
        service.steer(update, f"devices/{ids[0]}/expedite")
    elif how == "came back":
        beat(service, ids[0])
        service.tick(seconds=10)
    else:
        end(service, update, ids[0], "succeeded", first=2)
    assert service.update(update)["state"] == "active"
    end(service, update, ids[1], "failed")
    assert service.update(update)["state"] == "halted"


def test_what_the_server_looks_at_every_few_seconds_is_found_by_index(service: Service) -> None:
    """A million device updates that are long over must cost nothing."""
    connection = service.db.connection()
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    assert rollouts.to_look_at(connection) == []
    assert rollouts.stuck_counts(connection) == {}
    assert rollouts.marks(connection, DEVICE, service.settings.patience, service.now, service.now) == {}
    rollouts.outcomes(connection, DEVICE)
    connection.set_trace_callback(None)
    assert len(asked) == 5
    for text in asked:
        details = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        assert not [one for one in details if "SCAN device" in one and "idx_device_updates_started" not in one], details
