"""The whole way of a device through a real server: register, heartbeat, offer, statuses, lists, numbers."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.repo_server.conftest import Fleet, dump
from tests.support.fleet_bodies import announcement, heartbeat, registration, status
from tests.support.server import RunningServer, running_server


def announce(device: Fleet, version: str, **given: object) -> str:
    body = announcement(version, channel=f"channel-{device.id}", name=f"assistant-{device.id}", **given)
    body["packages"][0]["package"] = body["name"]
    key = device.server.key("builder")
    first = device.server.request("POST", "/api/v1/updates/", body=body, key=key)
    again = device.server.request("POST", "/api/v1/updates/", body=body, key=key)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    return str(first.json["id"])


def assistant(device: Fleet, version: str) -> dict[str, str]:
    return {"name": f"assistant-{device.id}", "installed": version, "active": version}


def test_from_registration_to_success(device: Fleet) -> None:
    server, admin = device.server, device.server.secrets["admin_key"]
    assert device.beat(assistant=assistant(device, "1.0.0")).json["offer"] is None
    update = announce(device, "1.1.0", urgency="urgent")
    offer = device.beat(assistant=assistant(device, "1.0.0")).json["offer"]
    assert (offer["update_id"], offer["version"], offer["urgency"]) == (update, "1.1.0", "urgent")
    assert device.beat(assistant=assistant(device, "1.0.0")).json["offer"] == offer

    assert device.report(update, status(1, "refreshed"), status(2, "deferred", reason="RECENT_ACTIVITY")).status == 200
    gate = {"decision": "defer", "reason": "RECENT_ACTIVITY", "retry_at": "2026-03-29T02:30:00Z"}
    device.beat(assistant=assistant(device, "1.0.0"), gate=gate, update={"id": update, "status": "deferred"})
    (listed,) = server.request("GET", f"/api/v1/devices/?channel=channel-{device.id}", key=admin).json["items"]
    assert (listed["id"], listed["online"], listed["gate"]) == (device.id, True, gate)
    assert server.request("GET", "/api/v1/fleet", key=admin).json["reasons"]["RECENT_ACTIVITY"] >= 1

    for sequence, word in enumerate(["installing", "activating", "restarting", "verifying", "succeeded"], start=3):
        assert device.report(update, status(sequence, word)).json == {"acknowledged": sequence}
    assert device.beat(assistant=assistant(device, "1.1.0")).json["offer"] is None
    (progress,) = server.request("GET", f"/api/v1/updates/{update}/devices", key=admin).json["items"]
    assert (progress["device_id"], progress["status"], progress["sequence"]) == (device.id, "succeeded", 7)
    fleet = server.request("GET", "/api/v1/fleet", key=admin).json
    assert fleet["devices"]["total"] == fleet["devices"]["online"] + fleet["devices"]["offline"]
    (counted,) = [one for one in fleet["updates"] if one["id"] == update]
    assert counted["statuses"] == {"succeeded": 1}


def test_repeats_are_answered_alike_and_change_nothing(device: Fleet) -> None:
    server = device.server
    update = announce(device, "1.1.0")
    first = device.report(update, status(1, "refreshed"), status(2, "downloading"))
    before = dump(server)
    body = registration(id=device.id, token=device.token, channel=f"channel-{device.id}")
    again = server.request("POST", "/api/v1/devices/", body=body, token=server.secrets["enrollment_token"])
    assert (again.status, again.json["channel"]) == (200, f"channel-{device.id}")
    assert device.report(update, status(1, "refreshed"), status(2, "downloading")).json == first.json
    assert dump(server) == before


def test_a_decommissioned_device_is_out_of_the_api_and_the_repository_at_once(device: Fleet) -> None:
    server = device.server
    (server.repository / "file").write_text("content")
    basic = {"Authorization": "Basic " + base64.b64encode(f"{device.id}:{device.token}".encode()).decode()}
    assert server.request("GET", "/repo/file", headers=basic).status == 200
    assert server.request("DELETE", device.path, key=server.key("operator")).status == 204
    for answer in (device.beat(), server.request("GET", "/repo/file", headers=basic)):
        assert (answer.status, answer.error["kind"]) == (410, "gone")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_users_own_command_works_to_the_letter(server: RunningServer) -> None:
    command = 'curl -H "X-API-Key: YOUR_KEY" http://your-server:8000/api/v1/devices/'
    command = command.replace("YOUR_KEY", server.key("viewer")).replace("your-server:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=30)
    assert re.match(r'\{"items":\[.*\],"next_cursor":(null|".*")\}\n$', done.stdout)


def test_what_was_acknowledged_is_there_after_the_server_was_killed(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        enrollment = server.secrets["enrollment_token"]
        assert server.request("POST", "/api/v1/devices/", body=registration(), token=enrollment).status == 201
        workers = server.workers()
        server.process.kill()  # first, or it would start new ones
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        server.process.wait()
    with running_server(tmp_path) as server:
        (listed,) = server.request("GET", "/api/v1/devices/", key=server.secrets["admin_key"]).json["items"]
        assert listed["id"] == registration()["id"]


def test_sigterm_ends_the_server_cleanly(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert len(server.workers()) == 1
    assert server.process.returncode == 0
    assert "Traceback" not in server.stderr()


def test_a_token_of_another_device_is_no_token(device: Fleet, server: RunningServer) -> None:
    before = dump(server)
    for token in ("wrong", server.secrets["enrollment_token"], server.secrets["admin_key"]):
        answer = server.request("POST", f"{device.path}/heartbeat", body=heartbeat(), token=token)
        assert (answer.status, answer.error["kind"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="pi-ota"'
    assert dump(server) == before
