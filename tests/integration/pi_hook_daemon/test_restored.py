"""The server is restored from an old backup: how each device recovers by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server.config import Settings
from tests.integration.pi_hook_daemon.enrolling import approve, enrolls, repository, shown
from tests.integration.pi_hook_daemon.story import Device
from tests.support.in_process import InProcessServer, Line
from tests.unit.repo_server.conftest import Service, serving


@dataclass
class Site:
    """A server whose database can be saved and put back."""

    folder: Path
    service: Service = field(init=False)
    stack: ExitStack = field(default_factory=ExitStack)
    line: Line = field(default_factory=Line)

    def start(self) -> None:
        settings = Settings(state_dir=self.folder / "state", repository_dir=self.folder / "public")
        self.service = self.stack.enter_context(serving(settings))

    def back_up(self) -> None:
        self.service.db.write(lambda _: None)
        self.service.db.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (self.folder / "backup.db").write_bytes((self.folder / "state" / "repo_server.db").read_bytes())

    def restore(self, device: Device) -> None:
        """Put the backup in the place of what there is, and start on it."""
        self.stack.close()
        shutil.rmtree(self.folder / "state")
        (self.folder / "state").mkdir()
        shutil.copy(self.folder / "backup.db", self.folder / "state" / "repo_server.db")
        self.start()
        self.service.now = device.clock.wall
        self.line.asked.clear()
        device.real_server = InProcessServer(self.service, device.clock, self.line)
        device.kill()
        device.start()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "site")
    one.folder.mkdir()
    one.start()
    yield one
    one.stack.close()


def progress(site: Site, update: str) -> list[tuple[str, int]]:
    page = site.service.request("GET", f"/api/v1/updates/{update}/devices", key=site.service.key("viewer")).get_json()
    return [(item["status"], item["sequence"]) for item in page["items"]]


def ends(device: Device, site: Site, update: str, status: str) -> int:
    """Run until an update has ended so; the sequence number of its last status."""
    device.until(lambda: [word for word, _ in progress(site, update)] == [status], hours=60)
    return progress(site, update)[0][1]


def test_a_known_device_goes_on_although_its_numbers_are_ahead(device: Device, site: Site) -> None:
    enrolls(device, site.service, site.line)
    device.start()
    device.until(lambda: device.enrolled == 1)
    device.run_for(600)
    site.back_up()
    first = ends(device, site, site.service.announce("1.0.0"), "succeeded")
    site.restore(device)
    device.run_for(1200)
    assert {status for _, status in site.line.asked} == {200}
    assert shown(site.service)["active"] == "1.0.0"  # what it runs is in its heartbeat
    again = site.service.announce("1.0.0")
    device.run_for(1200)
    assert progress(site, again) == []  # there is nothing to do for it
    update = site.service.announce("1.1.0")
    assert ends(device, site, update, "succeeded") > first
    assert {status for _, status in site.line.asked} == {200}


def test_statuses_of_updates_that_the_server_has_forgotten_are_set_aside(device: Device, site: Site) -> None:
    """The server was lost while the device installed."""
    enrolls(device, site.service, site.line)
    device.start()
    device.until(lambda: device.enrolled == 1)
    site.back_up()
    update = site.service.announce("1.0.0")
    device.until(lambda: progress(site, update))
    site.restore(device)
    device.run_for(48 * 3600)
    assert {status for _, status in site.line.asked} <= {200, 404}
    assert site.line.asked[-1][1] == 200
    assert device.status()["stopped"] is None
    following = site.service.announce("1.1.0")
    ends(device, site, following, "succeeded")
    assert shown(site.service)["active"] == "1.1.0"


def test_a_device_that_the_server_does_not_know_comes_back_by_itself(device: Device, site: Site) -> None:
    site.service.now = device.clock.wall
    site.service.key("viewer")
    site.back_up()
    enrolls(device, site.service, site.line)
    device.start()
    ends(device, site, site.service.announce("1.0.0"), "succeeded")
    device.settings = device.settings_without_token()
    site.restore(device)
    device.run_for(4 * 3600)
    assert {status for _, status in site.line.asked} == {401}
    assert device.status()["stopped"] is not None
    assert device.world.running == "1.0.0"  # nobody's assistant falls silent over it
    admin = site.service.key("admin")
    until = (device.clock.wall + timedelta(days=7)).isoformat()
    recovery = {"name": "r", "recovery": True, "uses": 10, "expires_at": until}
    assert site.service.request("POST", "/api/v1/enrollment-tokens/", recovery, key=admin).status_code == 201
    device.until(lambda: device.status()["pending"], hours=2)
    device.run_for(600)
    assert device.status()["stopped"] is None
    approve(site.service)
    update = site.service.announce("1.1.0")
    ends(device, site, update, "succeeded")
    assert repository(device, site.service) == 404
    assert device.status()["pending"] is False


def test_a_device_that_nobody_lets_back_in_keeps_what_it_has(device: Device, site: Site) -> None:
    site.back_up()
    enrolls(device, site.service, site.line)
    device.start()
    device.until(lambda: device.enrolled == 1)
    before: dict[str, Any] = device.status()
    device.settings = device.settings_without_token()
    site.restore(device)
    device.run_for(24 * 3600)
    assert {status for _, status in site.line.asked} == {401}
    assert len(site.line.asked) <= 2 * 50  # a heartbeat and a question each half hour at most
    assert device.status()["registered"] is before["registered"] is True
