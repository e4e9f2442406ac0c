"""`make walk`: docs/GETTING_STARTED.md, command by command, on a clean server and a clean Pi. Needs root."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.walk import document
from tests.walk.containers import Host, Shell, booted
from tests.walk.document import Command
from tests.walk.mending import BREAKAGES, Breakage

ROOT = Path(__file__).resolve().parents[2]
NAME = "updates.example.org"
HOSTS = (Host("server", "198.51.100.1", (NAME,)), Host("pi", "198.51.100.2"))
DEBIAN = ("trixie", "bookworm")
ORIGIN = "/srv/origin.git"
SECRET = re.compile(r"\b(?:pie|pik)_[A-Za-z0-9_-]+")
SECONDS = 1200.0
_SHOWN_LINES = 40


class StoppedError(Exception):
    """A command failed, or something is not as it should be at the end."""


class Walk:
    """The two shells, what was printed so far, and how long everything took."""

    def __init__(self, shells: Mapping[str, Shell]) -> None:
        """``shells`` by the names of the hosts."""
        self._shells = shells
        self._secrets: list[str] = []
        self._seconds: dict[str, float] = {}
        self._count = 0

    def go(self, chapter: str, commands: Iterable[Command]) -> None:
        """Run the commands. Raises ``StoppedError`` at the first that fails."""
        print(f"\n== {chapter}", flush=True)
        for command in commands:
            self.run(chapter, command)

    def run(self, chapter: str, command: Command) -> str:
        """Run one and return what it printed. Raises ``StoppedError``."""
        assert command.host is not None
        real = _on_this_machine(document.filled(command, self._secrets).text)
        began = time.monotonic()
        status, said = self._shells[command.host].run(real, SECONDS)
        took = time.monotonic() - began
        self._seconds[chapter] = self._seconds.get(chapter, 0) + took
        self._count += 1
        self._secrets += SECRET.findall(said)
        print(f"{took:7.1f} s  {command.host:<6}  $ {command.text}", flush=True)
        if status:
            tail = "\n".join(said.splitlines()[-_SHOWN_LINES:])
            raise StoppedError(f"`{command.text}` on the {command.host} ended with status {status}:\n{tail}")
        return said

    def ask(self, host: str, text: str) -> str:
        """Run something that is not in the document. Raises ``StoppedError``."""
        status, said = self._shells[host].run(text, SECONDS)
        if status:
            raise StoppedError(f"`{text}` on the {host} ended with status {status}:\n{said}")
        return said

    def report(self) -> None:
        """How long each chapter took, and all of them."""
        print("\n== Summary")
        for chapter, seconds in self._seconds.items():
            print(f"  {seconds:7.1f} s  {chapter}")
        print(f"  {sum(self._seconds.values()):7.1f} s  {self._count} commands")


def _on_this_machine(text: str) -> str:
    """What differs from the document: where the clone comes from, and the certificate of the server's own authority."""
    text = re.sub(r"https://github\.com/\S+/pi-ota\.git", ORIGIN, text)
    return text.replace("curl -fsS --user", "curl -fsS --cacert /etc/pi-ota/tls/ca.crt --user")


def main() -> int:
    """Walk; 1 where it stops."""
    parser = argparse.ArgumentParser(description="Walk the way of docs/GETTING_STARTED.md.")
    parser.add_argument("--only", action="store_true", help="stop behind the first update")
    parser.add_argument("--server", choices=DEBIAN, default=DEBIAN[0], help="the server's Debian [default: trixie]")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT may have come ignored
        signal.signal(number, signal.default_int_handler)
    started = _read("docs/GETTING_STARTED.md")
    server = _read("docs/SERVER.md")
    work = Path(tempfile.mkdtemp(prefix="pi-ota-walk-"))
    try:
        with booted((replace(HOSTS[0], debian=given.server), *HOSTS[1:]), work) as shells:
            _origin(work / "server" / "root")
            walk = Walk(shells)
            walk.go("Getting started", document.commands(started))
            _succeeded(walk)
            if not given.only:
                print("\n== What repo-server doctor names mends it", flush=True)
                for breakage in BREAKAGES:
                    _mended(walk, breakage)
                _another_commit(work / "server" / "root")
                walk.go("A copy of the database", document.commands(server, "copies"))
                walk.go("Another builder", document.commands(server, "builder"))
                walk.go("Upgrade", document.commands(server, "upgrade"))
                walk.go("The way back", document.commands(server, "back"))
                _succeeded(walk)
                walk.go("Uninstall", document.commands(server, "uninstall"))
                _nothing_left(walk)
            walk.report()
    except StoppedError as error:
        print(f"\nSTOPPED {error}")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _origin(root: Path) -> None:
    """This checkout's last commit, for the server to clone."""
    words = ["git", "clone", "--quiet", "--bare", "--no-local", str(ROOT), str(root / ORIGIN.lstrip("/"))]
    subprocess.run(words, check=True)
    subprocess.run(["git", "-C", words[-1], "branch", "--force", "main", "HEAD"], check=True)
    subprocess.run(["git", "-C", words[-1], "symbolic-ref", "HEAD", "refs/heads/main"], check=True)


def _another_commit(root: Path) -> None:
    """Something to upgrade to."""
    git = ["git", "-C", str(root / ORIGIN.lstrip("/")), "-c", "user.name=walk", "-c", "user.email=walk@example.org"]
    words = [*git, "commit-tree", "main^{tree}", "-p", "main", "-m", "Something newer"]
    commit = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([*git, "update-ref", "refs/heads/main", commit], check=True)


def _succeeded(walk: Walk) -> None:
    """The server and the Pi say so, each for itself. Raises ``StoppedError``."""
    shown = json.loads(walk.ask("server", "repo-server updates show 1.1.0 --json"))
    environment = "/proc/$(systemctl show --property=MainPID --value sample-assistant)/environ"
    told = {
        "the server": [status for status, count in shown["rollout"]["statuses"].items() if count == 1],
        "dpkg": walk.ask("pi", "dpkg-query --show --showformat='${Status} ${Version}' sample-assistant").split(),
        "the process": walk.ask("pi", f"sudo cat {environment} | tr '\\0' '\\n'").split(),
    }
    wanted = {"the server": "succeeded", "dpkg": "1.1.0", "the process": "PI_OTA_RELEASE=1.1.0"}
    for who, word in wanted.items():
        if word not in told[who]:
            raise StoppedError(f"{who} says {told[who]}, and not {word}")
    for host, program in (("server", "repo-server doctor --json"), ("pi", "sudo pi-hook doctor --json")):
        said = json.loads(walk.ask(host, program))
        if not said["ok"]:
            raise StoppedError(f"{program} finds {said}")
    print("  ok     1.1.0 succeeded: the server, dpkg and the process say so; both doctors find nothing")


def _mended(walk: Walk, breakage: Breakage) -> None:
    walk.ask("server", breakage.command)
    found = _wrong(walk)
    if breakage.check not in found:
        raise StoppedError(f"`{breakage.command}` was not found; found was {found}")
    mend = str(found[breakage.check]["mend"])
    walk.ask("server", mend)
    left = _wrong(walk)
    if breakage.check in left:
        raise StoppedError(f"`{mend}` did not mend {left[breakage.check]}")
    print(f"  ok     {breakage.check}: `{mend}`", flush=True)


def _wrong(walk: Walk) -> dict[str, dict[str, object]]:
    said = json.loads(walk.ask("server", "repo-server doctor --json || true"))
    return {one["check"]: one for one in said["checks"] if one["level"] != "ok"}


def _nothing_left(walk: Walk) -> None:
    places = "/opt/pi-ota /etc/pi-ota /var/lib/pi-ota-* /var/backups/pi-ota /usr/local/bin/* /etc/nginx/conf.d/pi-ota*"
    left = walk.ask(
        "server",
        f"ls -d {places} /etc/systemd/system/pi-ota* 2> /dev/null || true; getent passwd | grep pi-ota || true",
    )
    if left.strip():
        raise StoppedError(f"uninstalling has left {left}")
    walk.ask("server", "systemctl is-active nginx")
    print("  ok     nothing is left; nginx runs")


if __name__ == "__main__":
    sys.exit(main())
