"""The whole daemon against the real server over HTTP; only the hands and the clock are in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pi_hook.client import HttpServer
from tests.integration.pi_hook_daemon.story import Device
from tests.support.fleet_bodies import announcement
from tests.support.server import RunningServer, running_server

WHOLE = ["refreshed", "downloading", "downloaded", "installing", "activating", "restarting", "verifying", "succeeded"]


def progress(server: RunningServer, key: str, version: str) -> dict[str, Any]:
    """What the server says of the one device and a version."""
    updates = server.request("GET", "/api/v1/updates/", key=key).json["items"]
    update = next(update for update in updates if update["version"] == version)
    items = server.request("GET", f"/api/v1/updates/{update['id']}/devices", key=key).json["items"]
    found: dict[str, Any] = items[0] if items else {"status": None}
    return found


def test_a_device_enrolls_installs_waits_updates_and_goes_back(device: Device, tmp_path: Path) -> None:
    with running_server(tmp_path / "server", heartbeat_seconds=60) as server:
        builder, viewer = server.key("builder"), server.key("viewer")
        device.clock.wall = datetime.now(UTC)  # the server stamps grants with its own clock
        device.settings = replace(device.settings, enrollment_token=server.secrets["enrollment_token"])
        device.real_server = HttpServer(server.url)

        def announce(version: str, urgency: str) -> None:
            body = announcement(version, urgency=urgency)
            for package in body["packages"]:
                package["architecture"] = "arm64"
            assert server.request("POST", "/api/v1/updates/", body=body, key=builder).status == 201

        def ends(version: str, status: str) -> None:
            device.until(lambda: progress(server, viewer, version)["status"] == status, hours=4)

        device.start()
        announce("1.0.0", "scheduled")
        ends("1.0.0", "succeeded")
        device.press()
        announce("1.1.0", "urgent")
        ends("1.1.0", "deferred")
        assert progress(server, viewer, "1.1.0")["reason"] == "RECENT_ACTIVITY"
        ends("1.1.0", "succeeded")
        device.kill()
        device.start()
        announce("1.2.0", "urgent")
        ends("1.2.0", "rolled_back")
        outcome = progress(server, viewer, "1.2.0")
        assert outcome["log_tail"] == "Traceback of 1.2.0"
        device.run_for(600)
        item = server.request("GET", "/api/v1/devices/", key=viewer).json["items"][0]
        assert (item["installed"], item["active"]) == ("1.2.0", "1.1.0")
        assert device.world.starts == ["1.0.0", "1.1.0", "1.2.0", "1.1.0"]
        assert not (device.folder / "state" / "refused.json").exists()
