"""One virtual Pi with an assistant of its own, and what the end-to-end tests tell of it: releases, waits, proofs."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.agent import disk_with_agent
from demo.observe import PiView, ServerView, until
from demo.payload import SWITCH, variant
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.machine import VirtualPi

PAYLOAD = PROJECT / "examples" / "sample_assistant"
NAME_LINE = 'name = "sample-assistant"'
HEALTH_LINE = 'command = ["python", "-m", "sample_assistant.check"]'
FINAL = {"succeeded", "rolled_back", "failed"}
UPDATE_SECONDS = 600.0
SEEN_SECONDS = 240.0
BACK_SECONDS = 300.0
"""For what follows the server's return: the device asks again after a wait that has doubled with every failure."""
KILLER = Path(__file__).with_name("killer.py")
KILLED = "/run/killed.json"


@dataclass(frozen=True, slots=True)
class Variant:
    """How a release differs from the sample: texts to replace in ``release.toml``, files to write over it."""

    replace: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


WELL = Variant()
CRASHES_AT_START = Variant({f'{SWITCH} = "0"': f'{SWITCH} = "1"'})
UNHEALTHY = Variant({HEALTH_LINE: """command = ["python", "-c", "raise SystemExit('the microphone is deaf')"]"""})
CRASHES_LATER = Variant(
    files={
        "sample_assistant/__main__.py": """\
import os, sys, threading
from sample_assistant.service import main

def crash():
    print("out of memory, as it were", file=sys.stderr, flush=True)
    os._exit(7)

threading.Timer(6, crash).start()
main()
"""
    }
)
"""It answers, and its health command is content; it dies six seconds after its start."""
HOOK = '[hooks]\nbefore_activation = ["python", "-c", "import time; time.sleep(2)"]\n\n'
MIGRATES = Variant({"[health]": f"{HOOK}[health]"})
NEEDS_WHAT_NO_ONE_HAS = Variant({'kind = "application"': 'kind = "application"\ndepends = ["pi-ota-no-such-package"]'})


class Story:
    """A device and its releases; versions only ever rise, so that tests can share it in any order."""

    def __init__(self, stack: Stack, name: str, pi: VirtualPi, folder: Path) -> None:
        self.stack, self.name, self.pi = stack, name, pi
        self.server, self.device = ServerView(stack, name), PiView(pi, name)
        self.folder = folder
        self.ended = False
        """The device is of no use to another test: retired, or a test has failed on it."""
        self.pace = timedelta(0)
        """How long this machine needs for installing a release, and no wait of its own."""
        self._numbers = itertools.count()

    def give_up(self) -> None:
        """Something went wrong: say what the device has logged, and let nothing else be told of it."""
        if not self.ended and self.pi.pid is not None:
            print(self.device.journal(250))
        self.ended = True

    # What is done

    def release(self, urgency: str = "urgent", how: Variant = WELL) -> str:
        """Release the next version; returns it."""
        version = f"1.{next(self._numbers)}.0"
        replace = {NAME_LINE: f'name = "{self.name}"', **how.replace}
        source = variant(PAYLOAD, self.folder / "payload", replace=replace, files=how.files)
        words = ("--version", version, "--notes", version, "--urgency", urgency, "--target", "trixie/amd64")
        for line in self.stack.release(*words, "--src", str(source)):
            print(line)
        return version

    def operate(self, method: str, path: str, body: object | None = None) -> None:
        """An operator's call; ``{device}`` in the path is the device's id."""
        self.stack.operate(method, path.format(device=self.id), body)

    @contextmanager
    def held_by_operator(self, words: str = "a party") -> Iterator[None]:
        """The operator holds the device."""
        self.operate("PATCH", "/api/v1/devices/{device}", {"hold": words})
        try:
            yield
        finally:
            self.operate("PATCH", "/api/v1/devices/{device}", {"hold": None})

    @contextmanager
    def server_gone(self) -> Iterator[None]:
        """Nothing answers any more."""
        self.stack.stop_server()
        try:
            yield
        finally:
            self.stack.start_server()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The assistant speaks, without saying for how long."""
        self.pi.guest.run("systemd-run --quiet --unit=talk pi-hook activity busy --why speaking")
        try:
            until("busy in `pi-hook status`", lambda: self.device.status().get("busy"), SEEN_SECONDS)
            yield
        finally:
            # It may be gone already: it ends with the daemon.
            self.pi.guest.try_run("systemctl stop talk.service; systemctl reset-failed talk.service")

    @contextmanager
    def without_published(self, part: str) -> Iterator[None]:
        """The repository answers 404 for a part of it (``dists``, ``pool``)."""
        published = self.stack.published / "trixie" / part
        aside = published.with_name(f"{part}.aside")
        published.rename(aside)
        try:
            yield
        finally:
            aside.rename(published)

    def kill_at(self, version: str, phases: list[str]) -> None:
        """Set the killer on the daemon: it waits in the virtual Pi for the phases, and kills once in each."""
        self.pi.guest.write("/run/killer.py", KILLER.read_bytes())
        words = f"python3 /run/killer.py {version} {','.join(phases)} {KILLED}"
        self.pi.guest.run(f"rm -f {KILLED}; systemd-run --quiet --unit=killer --collect {words}")

    def killed(self, count: int) -> list[str]:
        """The killer's record of ``count`` kills, once they are done: the phases that the disk told afterwards.

        Each was another process, and another one is at work again.
        """

        def look() -> list[dict[str, Any]] | None:
            lines = self.pi.guest.try_run(f"cat {KILLED}").out.splitlines()
            return [json.loads(line) for line in lines] if len(lines) >= count else None

        record = until(f"{count} kills", look, UPDATE_SECONDS, self.device.status)
        pid = self.wait_for_daemon(not_pid=record[-1]["pid"])
        assert len({pid, *(one["pid"] for one in record)}) == count + 1
        assert [one["phase"] for one in record] == [one["wanted"] for one in record], "killed in those very phases"
        return [one["phase"] for one in record]

    def wait_for_daemon(self, not_pid: int = 0) -> int:
        """Return when the daemon is ready, with its process id; ``not_pid`` is one that is known to be dead."""
        command = "systemctl show --property=MainPID,ActiveState pi-hook.service"

        def look() -> int | None:
            shown = dict(line.split("=") for line in self.pi.guest.run(command).split())
            pid = int(shown["MainPID"])
            return pid if shown["ActiveState"] == "active" and pid not in {0, not_pid} else None

        return until("a ready daemon", look, SEEN_SECONDS)

    # What is seen

    @property
    def id(self) -> str:
        """The device's id at the server."""
        return str(until("a registered device", self.server.device, SEEN_SECONDS)["id"])

    def gate(self) -> dict[str, Any]:
        """The gate as ``pi-hook status`` tells it."""
        gate: dict[str, Any] = self.device.status().get("gate", {"reason": None, "retry_at": None})
        return gate

    def last_sequence(self, version: str) -> int:
        """The number of the last status that the server has of an update; 0 where there is none."""
        return max((event["sequence"] or 0 for event in self.server.events(version)), default=0)

    def deferral(self, version: str, reason: str, after: int = 0, seconds: float = SEEN_SECONDS) -> dict[str, Any]:
        """The event of a deferral for this reason with a later number than ``after``, once the server has it."""

        def look() -> dict[str, Any] | None:
            events = (event for event in self.server.events(version) if (event["sequence"] or 0) > after)
            return next((event for event in events if (event["status"], event["reason"]) == ("deferred", reason)), None)

        return until(f"{version} deferred: {reason}", look, seconds, lambda: self.server.events(version)[-3:])

    def deferred_everywhere(self, version: str, reason: str, after: int = 0) -> dict[str, Any]:
        """The reason is seen on the device, in what the server says of the device, and in the update's events.

        Returns the event.
        """
        until(f"{reason} in `pi-hook status`", lambda: self.gate()["reason"] == reason, SEEN_SECONDS, self.gate)

        def device_gate() -> object:
            return ((self.server.device() or {}).get("gate") or {}).get("reason")

        until(f"{reason} in the server's device", lambda: device_gate() == reason, SEEN_SECONDS, device_gate)
        return self.deferral(version, reason, after)

    def outcome(self, version: str) -> dict[str, Any]:
        """The progress with a version once it has ended in any way."""
        return self.server.wait_for(version, FINAL, UPDATE_SECONDS)

    def ended_well(self, version: str) -> list[dict[str, Any]]:
        """The version succeeded, at the server and in truth; returns the update's events."""
        progress = self.outcome(version)
        assert progress["status"] == "succeeded", progress
        return self._true(version, installed=version, active=version)

    def went_back(self, version: str, to: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The version was rolled back, at the server and in truth; returns the progress and the update's events."""
        progress = self.outcome(version)
        assert progress["status"] == "rolled_back", progress
        return progress, self._true(version, installed=version, active=to)

    def _true(self, version: str, *, installed: str, active: str) -> list[dict[str, Any]]:
        assert self.device.installed() == f"{installed} install ok installed"
        assert self.device.current() == f"/usr/lib/{self.name}/releases/{active}"
        assert self.device.running() == active
        assert self.pi.guest.run("dpkg --audit") == ""
        device = until(
            "both versions in a heartbeat",
            lambda: (d := self.server.device() or {}) and (d["installed"], d["active"]) == (installed, active) and d,
            SEEN_SECONDS,
            self.server.device,
        )
        assert device
        events = self.server.events(version)
        assert_one_true_story(events)
        return events


def assert_one_true_story(events: list[dict[str, Any]]) -> None:
    """Nothing moved backwards, nothing came twice, and exactly one outcome stands at the end."""
    story = [event for event in events if event["sequence"] is not None]
    sequences = [event["sequence"] for event in story]
    assert sequences == sorted(set(sequences))
    assert {event["verdict"] for event in story} == {"applied"}
    assert [event["status"] in FINAL for event in story] == [False] * (len(story) - 1) + [True]


def when(event: Mapping[str, Any], key: str = "at") -> datetime:
    """An instant of the server's JSON."""
    return datetime.fromisoformat(event[key])


def first(events: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """The first event with a status."""
    return next(event for event in events if event["status"] == status)


def in_(seconds: float) -> datetime:
    """An instant so many seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


class Machines:
    """Virtual Pis that tests share: booting one and installing its first release costs a minute."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._stories: dict[str, Story] = {}
        self._count = itertools.count()

    def story(self, kind: str, make: Callable[[Story], None]) -> Story:
        """The machine of a kind, booted and made ready by ``make`` where there is none, or none of use any more."""
        story = self._stories.get(kind)
        if story is None or story.ended:
            self._end(story)
            story = self._stories[kind] = self._new()
            try:
                make(story)
            except BaseException:
                story.give_up()
                raise
        return story

    def close(self) -> None:
        """Switch all of them off."""
        for story in self._stories.values():
            self._end(story)

    def _new(self) -> Story:
        number = next(self._count)
        disk = disk_with_agent(self._stack, PROJECT / ".cache", print)
        pi = VirtualPi(disk, self._folder / f"pi{number}", self._stack.port)
        return Story(self._stack, f"assistant-{number}", pi, self._folder)

    def _end(self, story: Story | None) -> None:
        if story is not None and story.pi.pid is not None:
            story.pi.cut_power()


def settle_in(story: Story, settings: Mapping[str, bytes], prepare: Callable[[Story], None] = lambda _: None) -> None:
    """Boot a new machine, let ``prepare`` arrange things, then give it its settings and see 1.0.0 installed."""
    story.pi.boot(wait=False)
    version = story.release("scheduled")
    story.pi.wait_until_up()
    # The killed daemon is back in a second instead of ten.
    story.pi.guest.write("/etc/systemd/system/pi-hook.service.d/hurry.conf", b"[Service]\nRestartSec=1\n")
    prepare(story)
    for name, text in settings.items():
        story.pi.guest.write(f"/etc/pi-hook/pi-hook.d/{shlex.quote(name)}", text, 0o600)
    story.pi.guest.run("systemctl daemon-reload && systemctl start pi-hook.service")
    events = story.ended_well(version)
    story.pace = when(first(events, "activating")) - when(first(events, "installing"))
