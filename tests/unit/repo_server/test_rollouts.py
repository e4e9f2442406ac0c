"""Rollouts over HTTP: waves, limits, steering."""

from __future__ import annotations

from typing import Any

import pytest

from repo_server.app import create_app
from repo_server.context import KEY
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, announcement
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import (
    CANARY,
    HOUR,
    LIMIT,
    MANY,
    audit,
    beat,
    end,
    fleet,
    offered,
    patch,
    to_group,
)

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


def test_a_newer_release_for_another_target_supersedes_nothing_here(service: Service) -> None:
    fleet(service, 1)
    older = service.announce()
    packages = [{**package, "debian": "bookworm"} for package in announcement("1.2.0")["packages"]]
    service.announce("1.2.0", packages=packages)
    assert service.update(older)["rollout"]["superseded_by"] is None


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
