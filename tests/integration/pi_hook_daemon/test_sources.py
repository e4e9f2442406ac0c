"""Sources of activity that are not there, go away, and come back, under a daemon that goes on with the others."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from pi_hook.sources import EvdevSource
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release

KEY = struct.pack("@llHHi", 0, 0, 1, 30, 1)
PUBLISHED = {"1.0.0": Release(), "1.1.0": Release(urgency="urgent")}


def test_without_any_usable_source_an_urgent_release_waits_for_the_night(device: Device, tmp_path: Path) -> None:
    device.sources = (EvdevSource(str(tmp_path / "event0")), EvdevSource(str(tmp_path / "event1")))
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    device.run_for(2 * 3600)
    device.server.offer("1.1.0", "urgent")
    device.until(device.told("deferred", "1.1.0"))
    deferred = device.server.statuses[-1]
    assert deferred.reason == "OUTSIDE_WINDOW"
    assert deferred.retry_at is not None
    assert deferred.retry_at.hour in {1, 2}, "the night of Berlin"
    assert device.server.heartbeats[-1].idle_seconds is None
    device.until(device.told("succeeded", "1.1.0"))
    installing = next(s for s in device.server.statuses if s.status == "installing" and s.version == "1.1.0")
    assert installing.at >= deferred.retry_at.replace(microsecond=0)


def test_one_usable_source_is_enough_to_know_idle(device: Device, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "event0")
    keyboard = os.open(tmp_path / "event0", os.O_RDWR)
    device.sources = (EvdevSource(str(tmp_path / "event0")), EvdevSource(str(tmp_path / "missing")))
    device.start()
    device.run_for(600)
    assert device.status()["idle_seconds"] == 700
    assert [source["problem"] is None for source in device.status()["sources"]] == [True, False]
    device.kill()
    os.close(keyboard)


def test_a_device_that_is_unplugged_costs_no_wake_ups_and_counts_again_when_it_is_back(
    device: Device, tmp_path: Path
) -> None:
    path = tmp_path / "event0"
    os.mkfifo(path)
    keyboard = os.open(path, os.O_RDWR)
    device.sources = (EvdevSource(str(path)),)
    device.start()
    device.run_for(60)
    os.close(keyboard)  # the descriptor is readable from now on, with nothing to read
    assert device.daemon is not None
    woken, run_once = 0, device.daemon.loop.run_once

    def counting() -> None:
        nonlocal woken
        woken += 1
        run_once()

    device.daemon.loop.run_once = counting  # type: ignore[method-assign]  # counts
    device.run_for(3600)
    assert woken < 120
    assert device.status()["idle_seconds"] is None
    assert "has ended" in device.status()["sources"][0]["problem"]
    keyboard = os.open(path, os.O_RDWR)
    device.run_for(310)
    assert device.status()["sources"][0]["problem"] is None, "tried again every five minutes"
    os.write(keyboard, KEY)
    assert device.status()["idle_seconds"] == 0
    device.kill()
    os.close(keyboard)
