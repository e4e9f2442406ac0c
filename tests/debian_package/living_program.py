"""Run as root in a booted system that has the older package: ``living_program.py OLDER.deb NEWER.deb``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SETTINGS = Path("/etc/pi-hook/pi-hook.toml")
MINE = '# mine\n[server]\nurl = "http://127.0.0.1:9"\n[assistant]\nname = "sample-assistant"\n'
UNIT = "pi-hook.service"
SECONDS = 60
seen: dict[str, str] = {}


def run(*words: str) -> str:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        journal = subprocess.run(["journalctl", "--no-pager", "-n", "40"], capture_output=True, text=True, check=False)
        sys.exit(f"{words} ended with {done.returncode}: {done.stdout}\n{journal.stdout}")
    return done.stdout.strip()


def shown(unit: str, *names: str) -> list[str]:
    """Properties of a unit, in the order of their names here."""
    lines = run("systemctl", "show", *(f"--property={name}" for name in names), unit).splitlines()
    found = dict(line.split("=", 1) for line in lines)
    return [found[name] for name in names]


def active() -> str:
    return shown(UNIT, "ActiveState")[0]


def main_pid() -> str:
    return shown(UNIT, "MainPID")[0]


def enabled() -> str:
    return subprocess.run(["systemctl", "is-enabled", UNIT], capture_output=True, text=True, check=False).stdout.strip()


def settled(wanted: Callable[[], bool]) -> bool:
    """Whether it comes to be; no job of systemd is left then, as the package starts its daemon without waiting."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if run("systemctl", "list-jobs", "--no-legend") == "" and wanted():
            return True
        time.sleep(0.1)
    return False


def identity() -> str:
    return "".join(path.read_text() for path in sorted(Path("/var/lib/pi-hook").glob("identity*")))


def left() -> list[str]:
    found = run(
        "find", "/", "-xdev", "(", "-name", "*pi-hook*", "-o", "-name", "*pi_hook*", "-o", "-name", "*pi-ota*", ")"
    )
    others = ("/root/", "/var/lib/dpkg/", "/var/log/", "/var/cache/", "/proc/", "/sys/", "/run/systemd/")
    return [path for path in found.splitlines() if not path.startswith(others)]


def upgrade_in_its_own_unit(deb: str) -> None:
    """As a night's system upgrade does it: dpkg runs in pi-hook-system.service, which the package itself brings."""
    drop_in = Path("/run/systemd/system/pi-hook-system.service.d/try.conf")
    drop_in.parent.mkdir(parents=True)
    install = f"/usr/bin/dpkg --force-confdef --force-confold --install {deb}"
    drop_in.write_text(f"[Unit]\nConditionPathExists=\n[Service]\nExecStart=\nExecStart={install}\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "pi-hook-system.service")
    seen["the upgrade's unit"] = " ".join(shown("pi-hook-system.service", "Result", "ExecMainStatus"))
    drop_in.unlink()
    run("systemctl", "daemon-reload")


def main() -> None:
    newer = sys.argv[2]
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("systemctl", "start", UNIT)
    seen["without settings"] = active()
    SETTINGS.write_text(MINE)
    SETTINGS.chmod(0o600)
    run("systemctl", "start", UNIT)
    seen["started"] = active()
    pid, who = main_pid(), identity()
    if not who:
        sys.exit(f"it made no identity: {sorted(Path('/var/lib/pi-hook').iterdir())}")

    upgrade_in_its_own_unit(newer)
    another = settled(lambda: active() == "active" and main_pid() not in {pid, "0"})
    restarts = shown(UNIT, "NRestarts")[0]
    seen["daemon after the upgrade"] = (
        f"{active()}, {'another' if another else 'the same'} process, {restarts} restarts by systemd"
    )
    version = newer.split("_")[1]
    said = (run("pi-hook", "--version"), run("dpkg-query", "--show", "--showformat=${Version}", "pi-hook"))
    seen["version after the upgrade"] = "the new one" if said == (f"pi-hook {version}", version) else str(said)
    seen["identity after the upgrade"] = "the same" if identity() == who else identity()
    seen["settings after the upgrade"] = "the same" if SETTINGS.read_text() == MINE else SETTINGS.read_text()

    run("systemctl", "disable", "--now", UNIT)
    run("dpkg", "--install", newer)
    settled(lambda: True)
    seen["disabled, then upgraded"] = f"{active()} {enabled()}"
    run("systemctl", "start", UNIT)
    pid = main_pid()
    run("dpkg", "--install", newer)
    another = settled(lambda: active() == "active" and main_pid() not in {pid, "0"})
    seen["disabled but running, then upgraded"] = (
        f"{active()} {enabled()}, {'another' if another else 'the same'} process"
    )
    run("systemctl", "enable", UNIT)
    run("systemctl", "stop", UNIT)
    run("dpkg", "--install", newer)
    settled(lambda: active() == "active")
    seen["stopped, then upgraded"] = f"{active()} {enabled()}"

    pid = main_pid()
    run("dpkg", "--remove", "pi-hook")
    seen["removed"] = "still running" if Path(f"/proc/{pid}").exists() else "not running"
    run("dpkg", "--install", newer)
    settled(lambda: active() == "active")
    seen["installed again"] = f"{active()} {enabled()}"
    seen["identity after all"] = "the same" if identity() == who else identity()
    pid = main_pid()
    run("dpkg", "--purge", "pi-hook")
    remains = left()
    ended = "still running" if Path(f"/proc/{pid}").exists() else "not running"
    seen["purged"] = f"{ended}, {remains or 'nothing left'}"
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
