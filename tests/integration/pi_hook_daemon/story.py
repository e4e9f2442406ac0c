"""A device whose daemon can be run, killed and started again on the same disk, with an injected clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pi_hook.activity import Source
from pi_hook.backoff import Backoff
from pi_hook.client import Server
from pi_hook.config import Settings
from pi_hook.daemon import Daemon, Parts
from pi_hook.hostinfo import Host
from pi_hook.zone import NamedZone, device_zone
from repo_server.lifecycle import Progress, Report, Status, Verdict, apply
from tests.support.pi_hook_fakes import FakeClock, FakeServer, World

BERLIN = NamedZone("Europe/Berlin", ZoneInfo("Europe/Berlin"))
MOST_ROUNDS = 20_000


@dataclass
class Device:
    """The story's device. ``start`` after ``kill`` is a restart of the daemon; with ``reboot`` between, a new boot."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    world: World = field(default_factory=World)
    zone: NamedZone = BERLIN
    debian: str = "trixie"
    sources: tuple[Source, ...] = ()
    server: FakeServer = field(init=False)
    real_server: Server | None = None
    """Spoken to instead of ``server`` where given."""
    daemon: Daemon | None = None
    boot: int = 1
    enrolled: int = 0
    notified: list[str] = field(default_factory=list)
    settings: Settings = field(
        default_factory=lambda: Settings(
            "https://updates.example.org", "sample-assistant", enrollment_token="enroll-me", soak=timedelta(seconds=60)
        )
    )

    def __post_init__(self) -> None:
        self.server = FakeServer(self.clock)

    def start(self) -> Daemon:
        def enrolled() -> None:
            self.enrolled += 1

        self.daemon = Daemon(
            Parts(
                settings=self.settings,
                hands=self.world.hands(),
                server=self.real_server or self.server,
                clock=self.clock,
                host=Host("kitchen", self.debian, "arm64", None),
                zone=lambda servers: self.zone if servers is None else device_zone(self.zone.name, servers=servers),
                boot_id=f"7a3f1c55-6f0c-4f3e-9f2c-{self.boot:012d}",
                sources=self.sources,
                state_folder=self.folder / "state",
                run_folder=self.folder / "run",
                backoff=Backoff(draw=lambda: 0.5),
                enrolled=enrolled,
                notify=lambda *lines: self.notified.extend(lines),
                wait=self.clock.wait,
            )
        )
        self.daemon.begin()
        return self.daemon

    def settings_without_token(self) -> Settings:
        """As they are once the enrollment token was used and deleted."""
        return replace(self.settings, enrollment_token=None)

    def kill(self) -> None:
        """The daemon is gone; only what is on the disk, and the world, stay."""
        if self.daemon is not None:
            self.daemon.close()
            self.daemon = None

    def power_cut(self) -> None:
        """Everything stops; the device boots again, its service with what ``current`` names."""
        self.kill()
        self.boot += 1
        self.clock.advance(20)
        self.clock.monotonic = 15.0
        (self.folder / "run" / "activity").unlink(missing_ok=True)
        self.world.reboot()

    def until(self, seen: Callable[[], object], hours: float = 48) -> None:
        """Run the loop until something is seen; fails when so many hours have passed without it."""
        assert self.daemon is not None
        end = self.clock.monotonic + hours * 3600
        for _ in range(MOST_ROUNDS):
            if seen():
                return
            assert self.clock.monotonic < end, f"not seen within {hours} h; told so far: {self.server.words()}"
            self.daemon.loop.run_once()
        raise AssertionError(f"the loop runs without time passing; told so far: {self.server.words()}")

    def told(self, status: str, version: str) -> Callable[[], object]:
        """For ``until``: the server has been told this status."""
        return lambda: status in self.server.words(version)

    def only_legal_moves(self) -> bool:
        """Whether the server takes every status of every update as a move of its lifecycle."""
        known: dict[str, Progress] = {}
        verdicts = set()
        for told in self.server.statuses:
            before = known.get(told.update_id, Progress())
            known[told.update_id], verdict = apply(before, Report(told.sequence, Status(told.status)))
            verdicts.add(verdict)
        return verdicts <= {Verdict.APPLIED}

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end = self.clock.monotonic + seconds
        self.until(lambda: self.clock.monotonic >= end, hours=seconds / 3600 + 48)

    def press(self) -> None:
        """Somebody uses the assistant."""
        assert self.daemon is not None
        self.daemon.activity.note()

    def status(self) -> dict[str, Any]:
        assert self.daemon is not None
        return self.daemon.status()
