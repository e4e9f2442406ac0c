"""The server sends a device away for good."""

from __future__ import annotations

import time

import pytest

from demo.agent import HEARTBEAT_SECONDS
from demo.observe import until
from demo.vpi.machine import SERVER_URL
from tests.e2e.stories import SEEN_SECONDS, Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ASK = f"""\
import json, sys, urllib.error, urllib.request
me = json.load(open("/var/lib/pi-hook/identity.json"))
import base64
basic = "Basic " + base64.b64encode((me["id"] + ":" + me["token"]).encode()).decode()
for path, words, data in (
    ("/api/v1/devices/" + me["id"] + "/heartbeat", "Bearer " + me["token"], b"{{}}"),
    ("/repo/trixie/dists/stable/InRelease", basic, None),
):
    headers = {{"Authorization": words, "Content-Type": "application/json"}}
    try:
        print(urllib.request.urlopen(urllib.request.Request("{SERVER_URL}" + path, data, headers)).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


def test_a_device_that_is_retired(scheduled: Story) -> None:
    """API and repository refuse it at once, it stops asking, and its assistant goes on."""
    device_id, running = scheduled.id, scheduled.device.running()
    scheduled.pi.guest.write("/run/ask.py", ASK.encode())
    # Its empty heartbeat is refused for what it says, not for who says it.
    assert scheduled.pi.guest.run("python3 /run/ask.py").split() == ["422", "200"]
    scheduled.operate("DELETE", f"/api/v1/devices/{device_id}")
    assert scheduled.pi.guest.run("python3 /run/ask.py").split() == ["410", "410"]

    status = scheduled.device.status
    stopped = until("the end of asking", lambda: status()["stopped"], SEEN_SECONDS, status)
    assert stopped.startswith("gone: ")
    assert scheduled.pi.guest.run("ls /etc/apt/sources.list.d /etc/apt/auth.conf.d").count("pi-ota") == 0
    asked = scheduled.stack.log("server").count(f"{device_id}/heartbeat")
    time.sleep(3 * HEARTBEAT_SECONDS)
    assert scheduled.stack.log("server").count(f"{device_id}/heartbeat") == asked
    device = scheduled.stack.get(f"/api/v1/devices/{device_id}").body
    assert device["state"] == "decommissioned"
    scheduled.pi.guest.run("systemctl restart pi-hook.service")
    scheduled.wait_for_daemon()
    assert scheduled.device.status()["stopped"] == stopped, "it remembers"
    assert scheduled.device.running() == running
    scheduled.ended = True  # of no use to the next test
