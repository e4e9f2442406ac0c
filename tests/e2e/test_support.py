"""What a support person has on a real system: `pi-hook doctor`, and a zone that is set from the office."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from demo.agent import first_boot_settings
from demo.observe import PiView, ServerView, until
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.machine import VirtualPi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NAME = "sample-assistant"


def test_the_doctor_finds_what_is_wrong_and_a_zone_can_be_set_from_the_office(
    stack: Stack, virtual_pi: Callable[[Mapping[str, bytes]], VirtualPi]
) -> None:
    server = ServerView(stack, NAME)
    pi = virtual_pi(first_boot_settings(stack, NAME, idle_required_seconds=1, soak_seconds=3))
    device = PiView(pi, NAME)
    words = ("--version", "1.0.0", "--notes", "first", "--urgency", "scheduled", "--target", "trixie/amd64")
    for line in stack.release(*words, "--src", str(PROJECT / "examples" / "sample_assistant")):
        print(line)
    pi.boot()
    try:
        server.wait_for("1.0.0", {"succeeded"}, 300)

        def examined() -> dict[str, dict[str, Any]]:
            done = pi.guest.try_run("pi-hook doctor --json")
            answer = json.loads(done.out)
            assert answer["ok"] is (done.status == 0)
            bad = {f"{one['check']} {one['level']}": one for one in answer["checks"] if one["level"] != "ok"}
            print(pi.guest.try_run("pi-hook doctor").out)
            return bad

        assert {name for name in examined() if name.endswith(" fail")} == set()
        pi.guest.run("chmod 600 /usr/share/keyrings/pi-ota-archive-keyring.gpg; systemctl stop pi-hook")
        found = examined()
        assert {"keyring fail", "daemon fail", "socket fail", "unit fail"} <= set(found)
        pi.guest.run(f"{found['keyring fail']['mend']}; systemctl start pi-hook")
        until("a daemon that answers", lambda: pi.guest.try_run("pi-hook status").status == 0, 60)
        until("a well device", lambda: not [name for name in examined() if name.endswith(" fail")], 60)

        path = f"/api/v1/devices/{(server.device() or {})['id']}"
        headers = {"X-API-Key": stack.secret("admin_key"), "Content-Type": "application/json"}
        assert stack.request("PATCH", path, b'{"timezone": "Australia/Lord_Howe"}', headers).status == 200
        until("the zone of the office", lambda: device.status()["timezone"]["name"] == "Australia/Lord_Howe", 60)
        until("its own word", lambda: (server.device() or {})["timezone"] == "Australia/Lord_Howe", 60)
        pi.guest.run("systemctl restart pi-hook")
        until("the same after a restart", lambda: pi.guest.try_run("pi-hook status").status == 0, 60)
        assert device.status()["timezone"]["name"] == "Australia/Lord_Howe"
    except Exception:
        if pi.pid is not None:
            print(device.journal(200))
        raise
