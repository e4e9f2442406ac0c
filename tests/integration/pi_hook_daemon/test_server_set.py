"""What an operator sets at the server, and how far this device's own settings let it win."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pi_hook.wire import Withheld
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release


def allow(device: Device, *names: str) -> None:
    device.settings = replace(device.settings, may_set=frozenset(names))


def test_the_operators_zone_is_used_told_shown_and_kept(settled: Device) -> None:
    settled.server.timezone = "Asia/Tokyo"
    settled.until(lambda: settled.server.heartbeats[-1].timezone == "Asia/Tokyo")
    assert settled.status()["timezone"] == {"name": "Asia/Tokyo", "problem": None}
    settled.kill()
    settled.server.reachable = False
    settled.start()
    settled.run_for(60)
    assert settled.status()["timezone"]["name"] == "Asia/Tokyo", "it outlives the daemon, without the server"
    settled.server.reachable = True
    settled.server.timezone = None
    settled.until(lambda: settled.server.heartbeats[-1].timezone == "Europe/Berlin")
    assert settled.status()["timezone"]["name"] == "Europe/Berlin"


def test_an_update_that_waits_for_the_night_goes_by_the_new_zone_at_once(settled: Device) -> None:
    settled.world.published["1.0.1"] = Release()
    settled.server.offer("1.0.1", "scheduled")
    settled.until(settled.told("deferred", "1.0.1"))
    settled.run_for(3600)
    asked_at = settled.clock.wall
    # In Tokyo it is past nine in the evening: its night comes hours before that of Berlin.
    settled.server.timezone = "Asia/Tokyo"
    settled.until(lambda: settled.server.heartbeats[-1].timezone == "Asia/Tokyo", hours=0.2)
    retry_at = settled.status()["gate"]["retry_at"]
    tokyo = datetime.fromisoformat(retry_at).astimezone(ZoneInfo("Asia/Tokyo"))
    assert tokyo.hour == 2
    assert tokyo - asked_at < timedelta(hours=6)
    settled.until(settled.told("succeeded", "1.0.1"))
    installing = next(s for s in settled.server.statuses if s.status == "installing" and s.version == "1.0.1")
    assert 2 <= installing.at.astimezone(ZoneInfo("Asia/Tokyo")).hour < 4


def test_a_zone_that_the_device_does_not_know_is_refused_with_a_sentence(
    settled: Device, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settled.server.timezone = "Mars/Olympus"
    settled.until(lambda: settled.status()["timezone"]["problem"])
    settled.run_for(1800)
    zone = settled.status()["timezone"]
    assert zone["name"] == settled.server.heartbeats[-1].timezone == "Europe/Berlin"
    assert "the server names the timezone 'Mars/Olympus', which this system does not know" in zone["problem"]
    assert "update tzdata" in zone["problem"]
    assert caplog.text.count("Mars/Olympus") == 1, "said once, not with every heartbeat"


def test_a_file_that_does_not_allow_a_zone_keeps_its_own(device: Device) -> None:
    allow(device, "channel", "hold")
    device.start()
    device.server.timezone = "Asia/Tokyo"
    device.run_for(900)
    assert device.status()["timezone"] == {"name": "Europe/Berlin", "problem": None}
    device.kill()
    allow(device, "timezone")
    device.start()
    assert device.status()["timezone"]["name"] == "Asia/Tokyo", "what the server said before counts once it is allowed"


def test_a_channel_that_the_file_keeps_is_followed_and_offers_of_another_are_not_taken(device: Device) -> None:
    allow(device, "timezone", "hold")
    device.server.channel = "beta"
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.run_for(900)
    assert device.world.apt is not None
    assert device.world.apt.channel == device.status()["channel"] == "stable"
    assert device.world.installs == []
    assert device.status()["gate"]["decision"] == "nothing"
    problem = device.status()["server"]["problem"]
    assert "on the channel beta" in problem
    assert "allow channel in server.may_set" in problem
    device.server.channel = "stable"
    device.until(device.told("succeeded", "1.0.0"))
    assert device.status()["server"]["problem"] is None


def test_an_operators_channel_is_followed_where_it_is_allowed(settled: Device) -> None:
    assert settled.world.apt is not None
    settled.server.channel = "beta"
    settled.until(lambda: settled.world.apt is not None and settled.world.apt.channel == "beta")
    settled.kill()
    settled.start()
    assert settled.status()["channel"] == "beta"


def test_a_hold_that_the_file_does_not_allow_opens_nothing(settled: Device) -> None:
    settled.kill()
    allow(settled, "channel", "timezone")
    settled.start()
    settled.server.hold = "guests"
    offer = settled.server.offer("1.1.0", "urgent")
    settled.server.offered = None
    settled.server.withheld = Withheld(offer.update_id, "1.1.0", "HELD_BY_ADMIN")
    settled.run_for(2 * 3600)
    assert settled.status()["hold"] is None
    assert settled.status()["gate"]["reason"] == "HELD_BY_ADMIN", "a held device is granted nothing, and says why"
    assert settled.world.installs == ["1.0.0"]


@pytest.mark.parametrize("hold", [None, "guests"])
def test_an_operators_hold_counts_by_default(settled: Device, hold: str | None) -> None:
    settled.server.hold = hold
    settled.run_for(900)
    assert settled.status()["hold"] == hold
    assert settled.clock.wall > datetime(2026, 3, 10, tzinfo=UTC)
