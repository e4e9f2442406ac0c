"""The agent is killed, then the power is cut, while it installs: each update still ends in one true outcome."""

from __future__ import annotations

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
FINAL = {"succeeded", "rolled_back", "failed"}


def test_killed_agent_and_cut_power_end_in_true_outcomes(
    stack: Stack, virtual_pi: Callable[[Mapping[str, bytes]], VirtualPi]
) -> None:
    server = ServerView(stack, NAME)
    pi = virtual_pi(first_boot_settings(stack, NAME, idle_required_seconds=1, soak_seconds=3))
    device = PiView(pi, NAME)
    release(stack, "1.0.0")
    pi.boot()
    try:
        server.wait_for("1.0.0", {"succeeded"}, 300)

        release(stack, "1.1.0")
        server.wait_for("1.1.0", {"installing"}, 120)
        pi.guest.run("systemctl kill --signal=SIGKILL pi-hook.service")
        assert server.wait_for("1.1.0", FINAL, 300)["status"] == "succeeded"
        assert (device.running(), device.installed()) == ("1.1.0", "1.1.0 install ok installed")
        restarts = pi.guest.run("systemctl show --value --property=NRestarts pi-hook.service").strip()
        assert restarts == "1", "the agent was really killed"

        release(stack, "1.2.0")
        server.wait_for("1.2.0", {"installing"}, 120)
        until("dpkg at work", lambda: pi.guest.try_run("pgrep -x dpkg").status == 0, 60)
        pi.cut_power()
        pi.boot()
        outcome = server.wait_for("1.2.0", FINAL, 400)["status"]
        running = until("a running assistant", device.running, 60)
        assert {"succeeded": "1.2.0", "rolled_back": "1.1.0"}[outcome] == running
        assert pi.guest.run("dpkg --audit") == ""
    except Exception:
        if pi.pid is not None:
            print(device.journal(200))
        raise
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        assert_one_true_story(server.events(version))


def release(stack: Stack, version: str) -> None:
    words = ("--version", version, "--notes", version, "--urgency", "urgent", "--target", "trixie/amd64")
    for line in stack.release(*words, "--src", str(PROJECT / "examples" / "sample_assistant")):
        print(line)


def assert_one_true_story(events: list[dict[str, Any]]) -> None:
    """Nothing moved backwards, nothing came twice, and exactly one outcome stands at the end."""
    story = [event for event in events if event["sequence"] is not None]
    sequences = [event["sequence"] for event in story]
    assert sequences == sorted(set(sequences))
    assert {event["verdict"] for event in story} == {"applied"}
    assert [event["status"] in FINAL for event in story] == [False] * (len(story) - 1) + [True]
