"""Rollouts over HTTP: waves, limits, steering, and devices that get stuck."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pi_hook.update import Bad
from pi_hook.update import Device as Agent
from pi_hook.wire import HeartbeatAnswer, Offer
from repo_server.app import create_app
from repo_server.context import KEY
from repo_server.store import rollouts
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, announcement, status
from tests.unit.repo_server.conftest import Service

HOUR = 3600
MANY = 40
"""Enough that half of them, by the hash of an update's random id, is never none or all of them."""
LIMIT = {"percent": 50, "minimum": 2}
CANARY: dict[str, Any] = {
    "waves": [{"group": "canary", "dwell_seconds": HOUR}, {"percent": 50, "dwell_seconds": HOUR}, {"percent": 100}],
    "failure_limit": LIMIT,
}


def device(number: int) -> str:
    return f"0195e0c8-0000-7000-8000-{number:012d}"


def fleet(service: Service, size: int) -> list[str]:
    """Devices with 1.0.0, each with its id as its token."""
    ids = [device(number) for number in range(1, size + 1)]
    for one in ids:
        service.register(id=one, token=one)
        service.beat(device=one, token=one)
    return ids


def to_group(service: Service, group: str | None, *ids: str) -> None:
    for one in ids:
        answer = service.request("PATCH", f"/api/v1/devices/{one}", {"group": group}, key=service.key("operator"))
        assert answer.status_code == 200


def beat(service: Service, one: str, installed: str | None = "1.0.0", **given: Any) -> Any:
    return service.beat(installed, device=one, token=one, **given)


def offered(service: Service, ids: list[str]) -> list[str]:
    return [one for one in ids if beat(service, one)["offer"] is not None]


def end(service: Service, update: str, one: str, *words: str, first: int = 1) -> None:
    each = [status(first + number, word) for number, word in enumerate(words)]
    assert service.report(update, *each, device=one, token=one).status_code == 200


def patch(service: Service, update: str, rollout: Any) -> Any:
    path = f"/api/v1/updates/{update}"
    return service.request("PATCH", path, {"rollout": rollout}, key=service.key("operator"))


def audit(service: Service) -> list[tuple[str, str]]:
    rows = service.db.connection().execute("SELECT who, action FROM audit_log WHERE action LIKE '%update%' ORDER BY id")
    return [(row["who"].partition(":")[0], row["action"]) for row in rows]


def test_canaries_first_then_a_part_then_everybody(service: Service) -> None:
    ids = fleet(service, MANY)
    to_group(service, "canary", *ids[:2])
    update = service.announce(rollout=CANARY)
    assert offered(service, ids) == ids[:2]
    assert beat(service, ids[5])["withheld"] == {"update_id": update, "version": "1.1.0", "reason": "NOT_IN_WAVE"}
    service.tick(minutes=59)
    assert offered(service, ids) == ids[:2]
    service.tick(minutes=1)
    half = offered(service, ids)
    assert set(ids[:2]) < set(half) < set(ids)
    service.tick(hours=1)
    assert offered(service, ids) == ids
    assert audit(service)[-2:] == [("server", "update.wave"), ("server", "update.wave")]


def test_what_is_shown_of_a_rollout_adds_up(service: Service) -> None:
    ids = fleet(service, 8)
    to_group(service, "canary", *ids[:2])
    update = service.announce(rollout=CANARY)
    offered(service, ids)
    end(service, update, ids[0], "installing", "succeeded")
    shown = service.update(update)["rollout"]
    first, second, third = shown["waves"]
    assert first == {
        "number": 1, "group": "canary", "percent": None, "dwell_seconds": HOUR, "opened_at": "2026-03-29T01:30:00Z",
        "size": 2, "statuses": {"granted": 1, "succeeded": 1},
    }  # fmt: skip
    assert (second["opened_at"], third["opened_at"]) == (None, None)
    assert first["size"] + second["size"] + third["size"] == shown["devices"] == 8
    assert shown["statuses"] == {"granted": 1, "succeeded": 1, "waiting": 6}
    assert (shown["next_wave_at"], shown["state"]) == ("2026-03-29T02:30:00Z", "active")
    assert (shown["failures"], shown["finished"], shown["failure_limit"]) == (0, 1, {**LIMIT, "count": None})
    assert (shown["stuck"], shown["elsewhere"]) == ({"silent": 0, "no_progress": 0}, {})


def test_devices_that_have_left_are_counted_apart(service: Service) -> None:
    ids = fleet(service, 3)
    update = service.announce()
    offered(service, ids)
    end(service, update, ids[0], "succeeded")
    service.request("PATCH", f"/api/v1/devices/{ids[0]}", {"channel": "beta"}, key=service.key("operator"))
    service.request("DELETE", f"/api/v1/devices/{ids[1]}", key=service.key("operator"))
    beat(service, ids[2], "1.2.0")
    shown = service.update(update)["rollout"]
    assert (shown["devices"], shown["statuses"]) == (1, {"granted": 1})
    assert shown["elsewhere"] == {"granted": 1, "succeeded": 1}


def test_failures_halt_at_once_and_before_anybody_else_is_granted(service: Service) -> None:
    ids = fleet(service, 6)
    update = service.announce(rollout={"failure_limit": LIMIT})
    assert offered(service, ids[:3]) == ids[:3]
    end(service, update, ids[0], "succeeded")
    end(service, update, ids[1], "installing", "rolled_back")
    assert service.update(update)["state"] == "active", "one failure is below the minimum"
    end(service, update, ids[2], "failed")
    shown = service.update(update)
    assert (shown["state"], shown["rollout"]["next_wave_at"]) == ("halted", None)
    assert shown["rollout"]["halt_reason"] == "2 of 3 devices that have an outcome failed (66.7%)"
    assert beat(service, ids[3])["withheld"]["reason"] == "HALTED"
    assert audit(service)[-1] == ("server", "update.halted")


def test_a_halt_sticks_until_somebody_resumes_it(service: Service) -> None:
    ids = fleet(service, MANY)
    update = service.announce(rollout={"waves": CANARY["waves"][1:], "failure_limit": {"count": 1}})
    (first, *_) = offered(service, ids)
    end(service, update, first, "failed")
    for _ in range(3):
        service.tick(days=1)
        assert service.update(update)["state"] == "halted"
        assert offered(service, ids) == []
    assert service.steer(update, "pause", 409)["error"]["kind"] == "conflict"
    service.steer(update, "resume")
    shown = service.update(update)["rollout"]
    assert (shown["state"], shown["halt_reason"], shown["failures"], shown["finished"]) == ("active", None, 0, 0)
    service.tick(minutes=30)
    assert service.update(update)["state"] == "active", "what was known counts no more"
    rest = offered(service, ids)
    assert rest
    assert len(service.update(update)["rollout"]["waves"]) == 2
    assert service.update(update)["rollout"]["waves"][1]["opened_at"] is None, "stopped days are no dwell time"
    end(service, update, rest[0], "failed")
    reason = service.update(update)["rollout"]["halt_reason"]
    assert reason == "1 of 1 devices that have an outcome since it was resumed failed (100.0%)"


def test_pauses_do_not_count_as_dwell_time(service: Service) -> None:
    update = service.announce(rollout=CANARY)
    service.tick(minutes=30)
    service.steer(update, "pause")
    service.tick(days=3)
    assert service.update(update)["rollout"]["next_wave_at"] is None
    assert service.update(update)["rollout"]["stopped_at"] == "2026-03-29T02:00:00Z"
    service.steer(update, "resume")
    assert service.update(update)["rollout"]["next_wave_at"] == "2026-04-01T02:30:00Z"
    assert service.update(update)["rollout"]["stopped_at"] is None


def test_a_server_that_was_away_opens_one_wave_at_a_time(service: Service) -> None:
    update = service.announce(rollout=CANARY)
    service.tick(days=3)
    opened = [wave["opened_at"] for wave in service.update(update)["rollout"]["waves"]]
    assert opened == ["2026-03-29T01:30:00Z", "2026-04-01T01:30:00Z", None]


def test_an_announcement_can_wait_for_a_person(service: Service) -> None:
    ids = fleet(service, 2)
    update = service.announce(rollout={"paused": True, **CANARY})
    shown = service.update(update)["rollout"]
    assert (shown["state"], [wave["opened_at"] for wave in shown["waves"]]) == ("paused", [None] * 3)
    assert beat(service, ids[0])["withheld"]["reason"] == "PAUSED"
    service.tick(days=2)
    service.steer(update, "resume")
    assert service.update(update)["rollout"]["waves"][0]["opened_at"] == "2026-03-31T01:30:00Z"
    assert beat(service, ids[0])["withheld"]["reason"] == "NOT_IN_WAVE"


def test_a_release_without_any_word_goes_to_everybody_with_the_servers_limit(service: Service) -> None:
    shown = service.update(service.announce())["rollout"]
    assert [(wave["percent"], wave["opened_at"]) for wave in shown["waves"]] == [(100, "2026-03-29T01:30:00Z")]
    assert shown["failure_limit"] == {"percent": 5, "minimum": 3, "count": None}
    assert (
        service.update(service.announce("1.2.0", rollout={"failure_limit": None}))["rollout"]["failure_limit"] is None
    )


def test_the_server_can_have_waves_of_its_own(service: Service) -> None:
    settings = service.settings.model_copy(update={"rollout_waves": "canary:1d,10%:12h,100%"})
    app = create_app(settings, lambda: service.now)
    try:
        service.app = app
        waves = service.update(service.announce())["rollout"]["waves"]
        assert [(one["group"], one["percent"], one["dwell_seconds"]) for one in waves] == [
            ("canary", None, 86_400), (None, 10, 43_200), (None, 100, None),
        ]  # fmt: skip
        own = service.update(service.announce("1.2.0", rollout={"waves": [{"percent": 100}]}))["rollout"]
        assert (len(own["waves"]), own["failure_limit"]) == (1, {"percent": 5, "minimum": 3, "count": None})
    finally:
        app.extensions[KEY].db.close()


WRONG: list[tuple[Any, str]] = [
    ({"waves": []}, "rollout.waves"),
    ({"waves": [{"percent": 0}, {"percent": 100}]}, "rollout.waves.0.percent"),
    ({"waves": [{"percent": 10}, {"percent": 100}]}, "rollout: each wave but the last needs a dwell time"),
    ({"waves": [{"percent": 10}]}, "rollout: the last wave must be 100 percent"),
    ({"waves": [{"group": "canary"}]}, "rollout: the last wave must be 100 percent"),
    ({"waves": [{"percent": 100, "dwell_seconds": 60}]}, "rollout: nothing follows the last wave"),
    ({"waves": [{"percent": 100, "group": "canary"}]}, "rollout: a wave is a group or a percentage"),
    ({"waves": [{}]}, "rollout: a wave is a group or a percentage"),
    (
        {"waves": [{"percent": 5, "dwell_seconds": 60}, {"group": "x", "dwell_seconds": 60}, {"percent": 100}]},
        "rollout: only the first wave can be a group",
    ),
    (
        {"waves": [{"percent": 5, "dwell_seconds": 60}, {"percent": 5, "dwell_seconds": 60}, {"percent": 100}]},
        "rollout: each percentage must be larger than the one before",
    ),
    ({"failure_limit": {}}, "rollout.failure_limit: give percent or count"),
    ({"failure_limit": {"percent": 101}}, "rollout.failure_limit.percent"),
    ({"speed": 1}, "rollout.speed: unknown field"),
]


@pytest.mark.parametrize(("rollout", "says"), WRONG)
def test_a_wrong_rollout_is_refused_by_name(service: Service, rollout: Any, says: str) -> None:
    update = service.announce()
    before = service.update(update)
    answer = patch(service, update, rollout)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(says)
    assert service.update(update) == before


def test_waves_can_be_changed_but_not_those_that_are_open(service: Service) -> None:
    update = service.announce(rollout=CANARY)
    more = [{"group": "canary", "dwell_seconds": 60}, {"percent": 1, "dwell_seconds": 60}, {"percent": 100}]
    answer = patch(service, update, {"waves": more})
    assert (answer.status_code, answer.get_json()["id"]) == (200, update)
    shown = service.update(update)["rollout"]
    assert (shown["next_wave_at"], shown["failure_limit"]) == ("2026-03-29T01:31:00Z", {**LIMIT, "count": None})
    assert [wave["percent"] for wave in shown["waves"]] == [None, 1, 100]
    service.tick(minutes=1)
    answer = patch(service, update, {"waves": CANARY["waves"]})
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (409, "conflict")
    assert patch(service, update, {"failure_limit": None}).status_code == 200
    shown = service.update(update)["rollout"]
    assert ([wave["percent"] for wave in shown["waves"]], shown["failure_limit"]) == ([None, 1, 100], None)
    before = audit(service)
    assert before[-1] == ("key", "update.rollout")
    assert patch(service, update, {"failure_limit": None}).status_code == 200
    assert audit(service) == before, "the same again changes nothing"


def test_a_lower_limit_counts_at_once(service: Service) -> None:
    (one, *_) = ids = fleet(service, 3)
    update = service.announce()
    offered(service, ids)
    end(service, update, one, "failed")
    assert service.update(update)["state"] == "active"
    assert patch(service, update, {"failure_limit": {"count": 1}}).get_json()["state"] == "halted"


def test_withdrawn_is_final_and_only_who_has_started_goes_on(service: Service) -> None:
    ids = fleet(service, 2)
    update = service.announce()
    offered(service, ids)
    end(service, update, ids[0], "installing")
    assert service.steer(update, "withdraw")["state"] == "withdrawn"
    assert service.steer(update, "withdraw")["state"] == "withdrawn"
    assert beat(service, ids[0])["offer"]["update_id"] == update
    assert beat(service, ids[1])["withheld"]["reason"] == "WITHDRAWN"
    for verb in ("pause", "resume", "halt", "expedite", f"devices/{ids[1]}/expedite"):
        assert service.steer(update, verb, 409)["error"]["kind"] == "conflict"
    assert patch(service, update, {"failure_limit": None}).status_code == 409
    assert audit(service)[-1] == ("key", "update.withdrawn")


def test_expedite_skips_the_waves_and_lets_who_failed_try_once_more(service: Service) -> None:
    ids = fleet(service, 6)
    to_group(service, "canary", *ids[:2])
    update = service.announce(rollout=CANARY)
    offered(service, ids)
    end(service, update, ids[0], "installing", "rolled_back")
    assert beat(service, ids[0], "1.1.0", active="1.0.0")["withheld"]["reason"] == "FAILED_HERE"
    service.now += timedelta(minutes=10)
    service.steer(update, "expedite")
    offer = beat(service, ids[0], "1.1.0", active="1.0.0")["offer"]
    assert (offer["expedited"], offer["granted_at"]) == (True, "2026-03-29T01:40:00Z")
    assert beat(service, ids[1])["offer"] == {**offer, "expedited": False, "granted_at": "2026-03-29T01:30:00Z"}
    assert all(beat(service, one)["offer"] == offer for one in ids[2:])
    assert service.update(update)["rollout"]["expedited"] is True
    # The new attempt is a whole one, and the outcome of the old one is no longer in the way.
    end(service, update, ids[0], "installing", "verifying", "succeeded", first=3)
    assert service.update(update)["rollout"]["statuses"]["succeeded"] == 1
    assert beat(service, ids[0], "1.1.0")["offer"] is None


def test_who_fails_again_after_being_expedited_is_not_offered_it_once_more(service: Service) -> None:
    (one,) = fleet(service, 1)
    update = service.announce()
    offered(service, [one])
    end(service, update, one, "failed")
    service.steer(update, "expedite")
    assert beat(service, one)["offer"]["expedited"] is True
    end(service, update, one, "failed", first=2)
    assert beat(service, one)["withheld"]["reason"] == "FAILED_HERE"
    service.now += timedelta(minutes=1)
    service.steer(update, f"devices/{one}/expedite")
    offer = beat(service, one)["offer"]
    assert (offer["expedited"], offer["granted_at"]) == (True, "2026-03-29T01:31:00Z")


def test_a_repeat_from_before_it_was_expedited_does_not_end_the_new_attempt(service: Service) -> None:
    (one,) = fleet(service, 1)
    update = service.announce()
    offered(service, [one])
    end(service, update, one, "installing", "rolled_back")
    service.steer(update, "expedite")
    end(service, update, one, "installing", "rolled_back")
    assert beat(service, one)["offer"]["expedited"] is True


def test_one_device_can_be_expedited(service: Service) -> None:
    ids = fleet(service, 3)
    update = service.announce(rollout=CANARY)
    shown = service.steer(update, f"devices/{ids[0]}/expedite")
    assert (shown["device_id"], shown["status"], shown["expedited"]) == (ids[0], "granted", True)
    assert offered(service, ids) == [ids[0]]
    end(service, update, ids[0], "installing")
    assert service.steer(update, f"devices/{ids[0]}/expedite", 409)["error"]["kind"] == "conflict"
    to_other = {"channel": "beta"}
    service.request("PATCH", f"/api/v1/devices/{ids[1]}", to_other, key=service.key("operator"))
    assert "beta" in service.steer(update, f"devices/{ids[1]}/expedite", 409)["error"]["message"]
    service.steer(update, f"devices/{OTHER_DEVICE}/expedite", 404)
    service.steer(OTHER_DEVICE, f"devices/{ids[0]}/expedite", 404)
    assert ("key", "device_update.expedite") in audit(service)


@pytest.mark.parametrize("verb", ["pause", "halt"])
def test_expedited_opens_nothing_that_is_stopped_or_held(service: Service, verb: str) -> None:
    ids = fleet(service, 2)
    update = service.announce(rollout=CANARY)
    service.request("PATCH", f"/api/v1/devices/{ids[1]}", {"hold": "guests"}, key=service.key("operator"))
    service.steer(update, verb)
    service.steer(update, "expedite")
    assert offered(service, ids) == []
    service.steer(update, "resume")
    assert offered(service, ids) == ids[:1]


def stuck(service: Service, update: str, one: str) -> str | None:
    items = service.request("GET", f"/api/v1/updates/{update}/devices", key=service.key("viewer")).get_json()["items"]
    (found,) = [item["stuck"] for item in items if item["device_id"] == one]
    return None if found is None else str(found)


def fleet_stuck(service: Service) -> int:
    return int(service.request("GET", "/api/v1/fleet", key=service.key("viewer")).get_json()["updates"][0]["stuck"])


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


def test_failures_during_a_pause_halt_it_when_it_is_resumed(service: Service) -> None:
    ids = fleet(service, 3)
    update = service.announce(rollout={"failure_limit": {"count": 1}})
    offered(service, ids)
    end(service, update, ids[0], "installing")
    service.steer(update, "pause")
    end(service, update, ids[0], "rolled_back", first=2)
    assert service.update(update)["state"] == "paused"
    assert service.steer(update, "resume")["state"] == "halted"
    assert service.steer(update, "resume")["state"] == "active", "who resumes a halt knows of the failure"


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


def test_a_newer_release_for_another_target_supersedes_nothing_here(service: Service) -> None:
    fleet(service, 1)
    older = service.announce()
    packages = [{**package, "debian": "bookworm"} for package in announcement("1.2.0")["packages"]]
    service.announce("1.2.0", packages=packages)
    assert service.update(older)["rollout"]["superseded_by"] is None


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
    assert len(asked) == 4
    for text in asked:
        details = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        assert not [one for one in details if "SCAN device" in one and "idx_device_updates_started" not in one], details


def test_a_newer_release_takes_the_place_of_an_older_one(service: Service) -> None:
    (one, other) = fleet(service, 2)
    older = service.announce()
    offered(service, [one])
    newer = service.announce("1.2.0", rollout=CANARY)
    assert service.update(older)["rollout"]["superseded_by"] == newer
    assert service.update(newer)["rollout"]["superseded_by"] is None
    for each in (one, other):
        assert beat(service, each)["withheld"] == {"update_id": newer, "version": "1.2.0", "reason": "NOT_IN_WAVE"}
    service.steer(newer, "withdraw")
    assert service.update(older)["rollout"]["superseded_by"] is None
    assert beat(service, one)["offer"]["update_id"] == older


def test_an_update_from_before_there_were_waves_is_open_to_everybody(service: Service) -> None:
    (one,) = fleet(service, 1)
    update = service.announce()
    columns = "rollout = NULL, waves_opened = NULL, dwell_from = NULL, accepted_failures = NULL"
    service.db.write(lambda connection: connection.execute(f"UPDATE updates SET {columns}"))
    assert offered(service, [one]) == [one]
    shown = service.update(update)["rollout"]
    assert (shown["waves"][0]["opened_at"], shown["failure_limit"]) == ("2026-03-29T01:30:00Z", None)
    service.steer(update, "pause")
    service.steer(update, "resume")
    assert offered(service, [one]) == [one]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", ""),
        ("GET", "/plan"),
        ("POST", "/withdraw"),
        ("POST", "/expedite"),
        ("POST", f"/devices/{DEVICE}/expedite"),
    ],
)
def test_an_unknown_update_is_not_found(service: Service, method: str, path: str) -> None:
    body: Any = {"rollout": {}} if method == "PATCH" else None
    answer = service.request(method, f"/api/v1/updates/{OTHER_DEVICE}{path}", body, key=service.key("admin"))
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (404, "not_found")


def test_the_agent_reads_an_expedited_grant_as_it_is_meant(service: Service) -> None:
    """Its own mark for a version that failed is cleared by a newer expedited grant, and by nothing else."""
    (one,) = fleet(service, 1)
    update = service.announce()

    def heard() -> Offer | None:
        return HeartbeatAnswer.parse(beat(service, one)).offer

    first = heard()
    assert first is not None
    end(service, update, one, "failed")
    marked = Agent(bad=(Bad("1.1.0", first.granted_at, expedited=False),))
    assert marked.is_bad(first)
    for sequence in (2, 3):
        service.now += timedelta(minutes=1)
        assert heard() is None, "the server does not offer it by itself either"
        service.steer(update, "expedite")
        again = heard()
        assert again is not None
        assert not marked.is_bad(again)
        end(service, update, one, "failed", first=sequence)
        marked = Agent(bad=(Bad("1.1.0", again.granted_at, expedited=True),))
        assert marked.is_bad(again), "the grant that it failed under once more does not clear it"
