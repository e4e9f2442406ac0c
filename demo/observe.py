"""What can be seen of a device from both ends: the server's JSON, and the virtual Pi itself."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from demo.stack import Stack
from demo.vpi.guest import GuestError
from demo.vpi.machine import VirtualPi

T = TypeVar("T")
POLL_SECONDS = 0.5


class NotObservedError(RuntimeError):
    """What was waited for did not show in time; the message says what was seen instead."""


def until(
    what: str,
    look: Callable[[], T | None],
    seconds: float,
    seen: Callable[[], object] = lambda: "",
    *,
    pause: float = POLL_SECONDS,
) -> T:
    """Call ``look`` until it returns something true, and return that. Raises ``NotObservedError`` after ``seconds``.

    ``pause`` is in seconds, between two looks.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NotObservedError(f"not seen within {seconds:.0f} s: {what}; seen instead: {seen() or 'nothing'}")
        time.sleep(pause)


@dataclass(frozen=True, slots=True)
class ServerView:
    """The fleet as the server tells it."""

    stack: Stack
    assistant: str

    def device(self) -> dict[str, Any] | None:
        """The one device with this assistant, or None before it has registered."""
        return self._ours("/api/v1/devices/", "assistant")

    def update_id(self, version: str) -> str | None:
        """The id of an announced version."""
        update = self._ours("/api/v1/updates/", "name", version)
        return str(update["id"]) if update else None

    def progress(self, version: str) -> dict[str, Any] | None:
        """How far the device is with a version: ``status``, ``reason``, ``retry_at``, ``detail``, ``log_tail``."""
        update = self.update_id(version)
        if update is None:
            return None
        items = self.stack.get(f"/api/v1/updates/{update}/devices").body["items"]
        return items[0] if items else None

    def events(self, version: str) -> list[dict[str, Any]]:
        """What happened on the device in one update, the oldest first."""
        device = self.device() or {}
        path = f"/api/v1/updates/{self.update_id(version)}/devices/{device['id']}/events?limit=1000"
        items: list[dict[str, Any]] = self.stack.get(path).body["items"]
        return items

    def _ours(self, path: str, name: str, version: str | None = None) -> dict[str, Any] | None:
        """The first of a list that belongs to the assistant (and is of that version)."""
        items: list[dict[str, Any]] = self.stack.get(path).body["items"]
        found = (i for i in items if i[name] == self.assistant and version in {None, i.get("version")})
        return next(found, None)

    def wait_for(self, version: str, statuses: set[str], seconds: float) -> dict[str, Any]:
        """The device's progress with a version once it is in one of these statuses."""

        def look() -> dict[str, Any] | None:
            progress = self.progress(version)
            return progress if progress and progress["status"] in statuses else None

        return until(f"{version} {' or '.join(sorted(statuses))}", look, seconds, lambda: self.progress(version))


@dataclass(frozen=True, slots=True)
class PiView:
    """The device as it is, seen through the guest agent."""

    pi: VirtualPi
    assistant: str

    def status(self) -> dict[str, Any]:
        """What `pi-hook status --json` prints."""
        value: dict[str, Any] = json.loads(self.pi.guest.run("pi-hook status --json"))
        return value

    def current(self) -> str:
        """The release directory that ``current`` names."""
        return self.pi.guest.run(f"readlink /var/lib/{self.assistant}/current").strip()

    def installed(self) -> str:
        """What dpkg says of the assistant: ``VERSION install ok installed``."""
        form = shlex.quote("${Version} ${Status}")
        return self.pi.guest.run(f"dpkg-query --show --showformat={form} {self.assistant}").strip()

    def running(self) -> str:
        """The release of the running process, out of its environment; empty where none runs."""
        unit = f"{self.assistant}.service"
        command = f"tr '\\0' '\\n' < /proc/$(systemctl show --value --property=MainPID {unit})/environ"
        done = self.pi.guest.try_run(f"{command} | sed -n 's/^PI_OTA_RELEASE=//p'")
        return done.out.strip()

    def journal(self, lines: int = 40) -> str:
        """The last lines of everything that pi-hook and the assistant have logged."""
        try:
            units = f"-u 'pi-hook*' -u {self.assistant}"
            return self.pi.guest.run(f"journalctl --no-pager --output=short {units} -n {lines}")
        except GuestError as error:
            return str(error)
