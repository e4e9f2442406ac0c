"""The agent and the real application: a device is let in, waits for approval, and comes back with another token."""

from __future__ import annotations

from repo_server.store.credentials import Preset
from tests.integration.pi_hook_daemon.enrolling import approve, enrolls, repository, shown
from tests.integration.pi_hook_daemon.story import Device
from tests.support.in_process import Line
from tests.unit.repo_server.conftest import Service


def test_a_device_waits_for_approval_and_goes_on_by_itself(device: Device, service: Service, line: Line) -> None:
    enrolls(device, service, line, Preset(approval=True, channel="beta"))
    service.announce("1.0.0", channel="beta")
    device.world.published["1.0.0"].urgency = "scheduled"
    device.start()
    device.run_for(1800)
    assert device.enrolled == 1
    status = device.status()
    assert (status["pending"], status["channel"]) == (True, "beta")
    assert status["server"]["problem"].startswith("the server waits for an operator to approve this device")
    assert status["stopped"] is None
    assert shown(service)["online"] is True
    assert repository(device, service) == 403
    device.kill()
    device.start()
    device.run_for(600)
    assert {answered for _, answered in line.asked} == {200, 201}
    approve(service)
    device.until(lambda: device.world.running == "1.0.0")
    assert device.status()["pending"] is False
    assert device.status()["server"]["problem"] is None
    assert repository(device, service) == 404


def test_a_device_with_another_token_asks_until_it_is_approved(device: Device, service: Service, line: Line) -> None:
    enrolls(device, service, line)
    device.start()
    device.until(lambda: device.enrolled == 1)
    device.kill()
    identity = device.folder / "state" / "identity.json"
    was = shown(service)["id"]
    for left in (device.folder / "state").iterdir():
        left.unlink()
    identity.write_text(f'{{"schema": 1, "id": "{was}", "token": "{"another-token-" * 4}"}}')
    identity.chmod(0o600)
    enrolls(device, service, line)
    line.asked.clear()
    device.start()
    device.run_for(4 * 3600)
    assert {answered for _, answered in line.asked} == {409}
    assert "an operator has to approve" in device.status()["server"]["problem"]
    assert device.status()["stopped"] is None
    assert device.enrolled == 1  # the enrollment token is still there
    approve(service)
    device.until(lambda: device.enrolled == 2, hours=2)
    device.until(lambda: line.asked[-1] == (f"/api/v1/devices/{was}/heartbeat", 200), hours=1)
    assert repository(device, service) == 404
