"""Hooks of a release, and a person's `install --now` and `rollback`, under a real systemd."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from demo.agent import first_boot_settings
from demo.observe import PiView, ServerView
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.machine import VirtualPi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NAME = "sample-assistant"
HOOK = """\
import getpass, os, sys, time
release, command = os.environ["PI_OTA_RELEASE"], sys.argv[1]
with open(os.environ["STATE_DIRECTORY"] + "/told", "a") as told:
    told.write(f"{command} {release} {getpass.getuser()} {os.getcwd()}\\n")
if (release, command) == ("1.2.0", "before"):
    print("there is no room for the new index")
    sys.exit(3)
"""
HOOKS = """
[hooks]
before_activation = ["python", "-m", "sample_assistant.hook", "before"]
after_rollback = ["python", "-m", "sample_assistant.hook", "after"]
timeout_seconds = 60
"""


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """The sample assistant with two hooks."""
    folder = tmp_path / "payload"
    shutil.copytree(PROJECT / "examples" / "sample_assistant", folder)
    (folder / "sample_assistant" / "hook.py").write_text(HOOK)
    (folder / "release.toml").write_text((folder / "release.toml").read_text() + HOOKS)
    return folder


def test_hooks_run_and_a_person_installs_now_and_goes_back(
    stack: Stack, virtual_pi: Callable[[Mapping[str, bytes]], VirtualPi], payload: Path
) -> None:
    server = ServerView(stack, NAME)
    # Nobody waits so long here: what is installed after 1.0.0 was asked for by a person.
    pi = virtual_pi(first_boot_settings(stack, NAME, idle_required_seconds=80_000, soak_seconds=3))
    device = PiView(pi, NAME)
    release(stack, payload, "1.0.0")
    pi.boot()
    try:
        server.wait_for("1.0.0", {"succeeded"}, 300)

        release(stack, payload, "1.1.0")
        server.wait_for("1.1.0", {"deferred"}, 180)
        said = pi.guest.run("pi-hook install --now", timeout=300)
        assert said.splitlines()[-1].startswith("1.1.0 succeeded: a person asked for it")
        assert device.running() == "1.1.0"
        folder = f"/usr/lib/{NAME}/releases/1.1.0"
        assert told(pi) == [f"before 1.1.0 {NAME} {folder}"]
        assert "a person asked for it" in server.wait_for("1.1.0", {"succeeded"}, 60)["detail"]

        refused = pi.guest.try_run(f"setpriv --reuid={NAME} --regid=pi-hook --clear-groups -- pi-hook rollback")
        assert refused.status == 1
        said = pi.guest.run("pi-hook rollback", timeout=300)
        assert "1.1.0 rolled back: a person asked to go back" in said
        assert (device.running(), device.installed()) == ("1.0.0", "1.1.0 install ok installed")
        assert told(pi)[1:] == [f"after 1.1.0 {NAME} {folder}"]
        server.wait_for("1.1.0", {"rolled_back"}, 60)

        release(stack, payload, "1.2.0")
        server.wait_for("1.2.0", {"deferred"}, 180)
        assert pi.guest.try_run("pi-hook install --now", timeout=300).status == 1
        outcome = server.wait_for("1.2.0", {"failed"}, 60)
        assert "the hook before_activation ended with 3" in outcome["detail"]
        assert "there is no room for the new index" in outcome["log_tail"]
        assert device.running() == "1.0.0"
        assert {event["verdict"] for event in server.events("1.1.0") if event["sequence"] is not None} == {"applied"}
    except Exception:
        if pi.pid is not None:
            print(device.journal(200))
        raise


def told(pi: VirtualPi) -> list[str]:
    """What the hooks wrote, a line for each run."""
    return pi.guest.run(f"cat /var/lib/{NAME}/state/told").splitlines()


def release(stack: Stack, payload: Path, version: str) -> None:
    words = ("--version", version, "--notes", version, "--urgency", "urgent", "--target", "trixie/amd64")
    for line in stack.release(*words, "--src", str(payload)):
        print(line)
