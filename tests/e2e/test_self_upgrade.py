"""The agent upgrades itself at night, in the middle of an update of the assistant; by day Debian's upgrades wait."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.agent import first_boot_settings
from demo.observe import PiView, ServerView, until
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.guest import GuestError
from demo.vpi.machine import VirtualPi
from tests.e2e.test_interruptions import assert_one_true_story, release
from tests.support.agent_package import build_agent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

NAME = "sample-assistant"
NEXT = "99.0"
LOOKS_SECONDS = 90
"""The daemon looks every minute in its window whether anything is due."""
WINDOW = "/etc/pi-hook/pi-hook.d/90-window.toml"


def test_a_newer_agent_replaces_the_running_one_while_updates_wait_and_work(
    stack: Stack, virtual_pi: Callable[[Mapping[str, bytes]], VirtualPi], tmp_path: Path
) -> None:
    server = ServerView(stack, NAME)
    settings = first_boot_settings(stack, NAME, idle_required_seconds=1, soak_seconds=3, timezone="Etc/UTC")
    pi = virtual_pi(settings)
    device = PiView(pi, NAME)
    release(stack, "2.0.0")
    pi.boot()
    try:
        server.wait_for("2.0.0", {"succeeded"}, 600)
        set_window(pi, timedelta(hours=6), timedelta(hours=7))

        # By day Debian's own upgrades are skipped, by the gate and by nothing else.
        pi.guest.run("systemctl start apt-daily-upgrade.service")
        shown = pi.guest.run("systemctl show --property=Result,ExecMainStartTimestamp apt-daily-upgrade.service")
        assert shown.split() == ["Result=exec-condition", "ExecMainStartTimestamp="]
        assert "OUTSIDE_WINDOW" in pi.guest.run("journalctl --no-pager -u apt-daily-upgrade.service")

        # An update waits for the agent that it needs, and a restart is asked for.
        needs_the_next = payload_that_needs(NEXT, tmp_path / "payload")
        words = ("--version", "2.1.0", "--notes", "2.1.0", "--urgency", "urgent", "--target", "trixie/amd64")
        for line in stack.release(*words, "--src", str(needs_the_next)):
            print(line)
        waiting = server.wait_for("2.1.0", {"deferred"}, 300)
        assert waiting["reason"] == "DEPENDENCY_BLOCKED"
        print(stack.pkgbuild("agent", str(build_agent(NEXT, tmp_path / "agent"))))
        pi.guest.run("touch /run/reboot-required")
        until("the wish for a restart at the server", lambda: (server.device() or {})["reboot_required"], 120)

        # At night the agent upgrades itself, and is restarted in the middle of that.
        before = pi.guest.run("systemctl show --value --property=MainPID pi-hook.service")
        set_window(pi, timedelta(minutes=-150), timedelta(minutes=120))
        until("the next agent at the server", lambda: (server.device() or {})["agent_version"] == NEXT, 900)
        assert server.wait_for("2.1.0", {"succeeded", "rolled_back", "failed"}, 600)["status"] == "succeeded"
        until("the end of the upgrade", lambda: device.status()["system"]["last"], 300)

        last = device.status()["system"]["last"]
        assert (last["outcome"], last["changed"]) == ("succeeded", [f"pi-hook {NEXT}"])
        assert device.status()["system"]["attempts_of_the_night"]["count"] == 1, "joined, not begun anew"
        assert pi.guest.run("pi-hook --version").strip() == f"pi-hook {NEXT}"
        assert pi.guest.run("systemctl show --value --property=MainPID pi-hook.service") != before
        assert pi.guest.run("systemctl show --value --property=NRestarts pi-hook.service").strip() == "0"
        assert pi.guest.run("systemctl show --value --property=Result pi-hook-system.service").strip() == "success"
        assert (device.running(), device.installed()) == ("2.1.0", "2.1.0 install ok installed")
        assert pi.guest.run("dpkg --audit") == ""
        assert "Traceback" not in device.journal(400)
        assert_restarts_once(pi, device, server)
    except Exception:
        if pi.pid is not None:
            print(device.journal(300))
            print(pi.guest.try_run("pi-hook status; cat /var/lib/pi-hook/system.json").out)
        raise
    for version in ("2.0.0", "2.1.0"):
        assert_one_true_story(server.events(version))


def assert_restarts_once(pi: VirtualPi, device: PiView, server: ServerView) -> None:
    """A restart has been asked for all the time: where the settings allow it, systemd does it now, and all is well."""
    assert device.status()["system"]["restarts"] == [], "by default the wish is only reported"
    pi.let_reboot()
    before = pi.boot_id()
    pi.guest.write(WINDOW.replace("90-window", "91-reboot"), b"[system]\nreboot = true\n", 0o600)
    pi.guest.run("systemctl restart pi-hook.service")
    until("another boot", lambda: answering_boot(pi) not in {None, before}, 600)
    after = pi.boot_id()
    until("no wish for a restart at the server", lambda: not (server.device() or {})["reboot_required"], 300)
    assert device.running() == "2.1.0"
    assert "reboot.target" in pi.guest.run("journalctl --boot=-1 --no-pager --output=cat -n 400"), "in order"
    (restart,) = device.status()["system"]["restarts"]

    # The wish is there again, as from a script that writes it at each boot: not twice in a night.
    pi.guest.run("touch /run/reboot-required")
    until("the wish at the server", lambda: (server.device() or {})["reboot_required"], 120)
    time.sleep(LOOKS_SECONDS)
    assert pi.boot_id() == after
    assert device.status()["system"]["restarts"] == [restart]


def answering_boot(pi: VirtualPi) -> str | None:
    """The boot that the guest is in; None while it does not answer."""
    try:
        return pi.boot_id()
    except (GuestError, OSError):
        return None


def set_window(pi: VirtualPi, opens: timedelta, closes: timedelta) -> None:
    """Put the nightly window to a time from now, without packages of Debian, whose mirror is not to be had."""
    now = datetime.now(UTC)
    start, end = (f"{now + away:%H:%M}" for away in (opens, closes))
    text = f'[window]\nstart = "{start}"\nend = "{end}"\n\n[system]\npackages = "none"\n'
    pi.guest.write(WINDOW, text.encode(), 0o600)
    pi.guest.run("systemctl restart pi-hook.service")


def payload_that_needs(agent: str, folder: Path) -> Path:
    shutil.copytree(PROJECT / "examples" / "sample_assistant", folder, ignore=shutil.ignore_patterns("__pycache__"))
    settings = folder / "release.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(re.sub(r"^(name = .*)$", rf'\1\nminimum_agent = "{agent}"', text, count=1, flags=re.MULTILINE))
    return folder
