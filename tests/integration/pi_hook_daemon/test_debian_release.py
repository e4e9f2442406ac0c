"""A device that runs another Debian release than before: its source, and what its server is told."""

from __future__ import annotations

from pi_hook.errors import RefusedError
from pi_hook.identity import Identity
from pi_hook.wire import Heartbeat, HeartbeatAnswer
from tests.integration.pi_hook_daemon.story import Device


def test_after_an_upgrade_of_debian_its_source_is_for_the_new_release_and_the_server_is_told_once(
    device: Device,
) -> None:
    device.debian = "bookworm"
    device.start()
    device.run_for(1800)
    assert device.world.apt is not None
    assert device.world.apt.debian == "bookworm"
    device.debian = "trixie"
    device.power_cut()
    device.start()
    device.run_for(1800)
    assert device.world.apt.debian == "trixie"
    told = [beat.debian for beat in device.server.heartbeats]
    assert len(told) > 6
    assert [one for one in told if one is not None] == ["bookworm", "trixie"]
    assert told[0] == "bookworm"


def test_a_server_that_does_not_know_of_upgrades_is_told_without(device: Device) -> None:
    beat = device.server.heartbeat

    def old(identity: Identity, heartbeat: Heartbeat) -> HeartbeatAnswer:
        if heartbeat.debian is not None:
            raise RefusedError("debian: unknown field", kind="invalid", status=422)
        return beat(identity, heartbeat)

    device.server.heartbeat = old  # type: ignore[method-assign]
    device.start()
    device.run_for(600)
    assert len(device.server.heartbeats) > 1
    assert device.status()["server"]["problem"] is None
