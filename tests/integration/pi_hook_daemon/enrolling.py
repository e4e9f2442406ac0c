"""A device of a story that speaks with the real application."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from repo_server.store.credentials import Preset
from tests.integration.pi_hook_daemon.story import Device
from tests.support.in_process import InProcessServer, Line
from tests.unit.repo_server.conftest import Service


def enrolls(device: Device, service: Service, line: Line, preset: Preset | None = None) -> None:
    device.real_server = InProcessServer(service, device.clock, line)
    service.now = device.clock.wall
    device.settings = replace(device.settings, enrollment_token=service.enrollment_token(preset=preset))


def shown(service: Service) -> Any:
    """The one device, as the server shows it."""
    (row,) = service.db.connection().execute("SELECT id FROM devices").fetchall()
    return service.request("GET", f"/api/v1/devices/{row['id']}", key=service.key("viewer")).get_json()


def approve(service: Service) -> None:
    answer = service.request("POST", f"/api/v1/devices/{shown(service)['id']}/approve", key=service.key("operator"))
    assert answer.status_code == 200, answer.json


def repository(device: Device, service: Service) -> int:
    """What apt of the device would be answered."""
    apt = device.world.apt
    assert apt is not None
    path = "/repo/trixie/dists/stable/InRelease"
    return service.request("GET", path, auth=(apt.device_id, apt.device_token)).status_code
