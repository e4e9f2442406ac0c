"""Expediting over HTTP: an update, or one device in it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pi_hook.update import Bad
from pi_hook.update import Device as Agent
from pi_hook.wire import HeartbeatAnswer, Offer
from tests.support.fleet_bodies import OTHER_DEVICE
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import CANARY, audit, beat, end, fleet, offered, to_group


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
