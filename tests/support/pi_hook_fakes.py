"""In-memory implementations of ``pi_hook.ports`` and of the server, for tests that tell a device's story.

``World`` is the device outside the daemon: it survives the daemon's death, as dpkg, systemd and the disk do. Its parts
are ``hands()``. ``FakeServer`` keeps what it was told, in order, and checks what a real one checks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from selectors import BaseSelector, SelectorKey
from typing import Generic, TypeVar

from pi_hook.errors import RefusedError, ServerError
from pi_hook.identity import Identity
from pi_hook.policy import Urgency
from pi_hook.ports import (
    AptSettings,
    ClockReading,
    CommandResult,
    Conditions,
    Hands,
    Installed,
    Problem,
    RebootFlag,
    ReleaseCommand,
    ReleaseError,
    ReleaseTerms,
    Request,
    ServiceError,
    ServiceState,
    Step,
    StepRequest,
    StepResult,
    SystemRequest,
)
from pi_hook.wire import Heartbeat, HeartbeatAnswer, Offer, Registered, Registration, Status, Withheld

T = TypeVar("T")
START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """``ports.Clock`` that stands still until it is advanced."""

    wall: datetime = START
    monotonic: float = 100.0
    synchronised: bool = True

    def read(self) -> ClockReading:
        return ClockReading(self.wall, self.monotonic, self.synchronised)

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds

    def wait(self, selector: BaseSelector, timeout: float) -> list[tuple[SelectorKey, int]]:
        """For ``Loop``: what is readable comes at once; otherwise time passes until the next timer."""
        ready = selector.select(0)
        if not ready:
            self.advance(timeout)
        return ready


@dataclass
class Release:
    """What a published version does on a device."""

    urgency: str = "scheduled"
    crashes: bool = False
    """At its start; systemd restarts it."""
    health: str | None = None
    health_waits: bool = False
    problems: dict[Step, list[Problem]] = field(default_factory=dict)
    """For each step, the problems of its first runs."""
    terms: ReleaseTerms = field(default_factory=ReleaseTerms)
    hook_problems: dict[ReleaseCommand, str] = field(default_factory=dict)
    misses: bool = False
    """dpkg does not have it after an installation that says it went well."""


class _Ended(Generic[T]):
    """Something started that has ended from the start: its descriptor is readable."""

    def __init__(self, result: Callable[[], T]) -> None:
        self._result = result
        self._read, self._write = os.pipe()
        self.end()

    def end(self) -> None:
        os.write(self._write, b".")

    def fileno(self) -> int:
        return self._read

    def result(self) -> T:
        return self._result()

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class FakeRunningStep(_Ended[StepResult]):
    """``ports.RunningStep``."""


class FakeRunningCommand(_Ended[CommandResult]):
    """``ports.RunningCommand``."""


class WaitingCommand(FakeRunningCommand):
    """One that ends only when the test lets it."""

    def end(self) -> None:
        """Not from the start."""

    def let_go(self) -> None:
        super().end()


class World:
    """One device and the repository it sees, outside of the daemon."""

    def __init__(self, name: str = "sample-assistant") -> None:
        self.name = name
        self.published: dict[str, Release] = {}
        self.installed_version: str | None = None
        self.broken: str | None = None
        self.held = False
        self.on_disk: set[str] = set()
        self.classic = False
        """Whether the releases are ordinary packages: one at a time is on the disk, the .debs of others are cached."""
        self.cached: set[str] = set()
        self.shunned: frozenset[str] = frozenset()
        self.shun_errors: list[str] = []
        self.reinstalls_done: list[str] = []
        self.current: str | None = None
        self.running: str | None = None
        self.restarts = 0
        self.pid = 0
        self.starts: list[str] = []
        """Every start of the service, by the release it ran."""
        self.installs: list[str] = []
        self.protected: frozenset[str] = frozenset()
        self.kept: list[frozenset[str]] = []
        self.problems: frozenset[str] = frozenset()
        self.apt: AptSettings | None = None
        self.at_work: tuple[Step, Request] | None = None
        """A step whose unit is at work while no daemon runs."""
        self.during: dict[Step, Callable[[], None]] = {}
        """What else happens, once, while a step is at work."""
        self.hooks: list[tuple[str, str, str | None, str | None]] = []
        """Every hook that was run to its end: which, of which version, what ``current`` named, what ran meanwhile."""
        self.during_hook: dict[ReleaseCommand, Callable[[], None]] = {}
        """What else happens, once, while a hook is at work."""
        self.tails_since: list[datetime] = []
        self.dpkg_unreadable = False
        self.flip_errors: list[str] = []
        self.own_restart_after_flip = False
        """In a crash loop, systemd's own restart is due right after ``current`` was flipped."""
        self.restart_errors: list[str] = []
        self.stop_errors: list[str] = []
        self.begin_errors: list[str] = []
        self.waiting: WaitingCommand | None = None
        """A health command that is at work."""
        self.system_steps: list[tuple[Step, SystemRequest]] = []
        """Every step of the system that was done."""
        self.system_problems: dict[Step, list[Problem]] = {}
        """The problems of its next runs."""
        self.left_results: dict[tuple[Step, SystemRequest], StepResult] = {}
        """Of steps that ended while no daemon ran."""
        self.flag: RebootFlag | None = None
        self.reboots = 0
        self.reboot_errors: list[str] = []

    def hands(self) -> Hands:
        return Hands(self, self, self, self, self, _Apt(self), _Machine(self))

    def reboot(self) -> None:
        """Everything starts anew; the service with whatever ``current`` names."""
        self.at_work = None
        self.running = None
        self.restarts = 0
        if self.current is not None:
            self._run()

    # StepRunner

    def start(self, step: Step, request: Request) -> FakeRunningStep:
        if isinstance(request, SystemRequest):
            wanted = request
            return FakeRunningStep(lambda: self.do_system(step, wanted))
        update = request
        return FakeRunningStep(lambda: self.do(step, update))

    def join(self, step: Step, request: Request) -> FakeRunningStep | None:
        return self.start(step, request) if self.at_work == (step, request) else None

    def left(self, step: Step, request: Request) -> StepResult | None:
        return self.left_results.get((step, request)) if isinstance(request, SystemRequest) else None

    def do_system(self, step: Step, request: SystemRequest) -> StepResult:
        self.at_work = None
        self.during.pop(step, lambda: None)()
        self.system_steps.append((step, request))
        problems = self.system_problems.get(step)
        problem = problems.pop(0) if problems else None
        return StepResult(
            step, request.version, problem, "as the test wants it", changed=() if problem else ("libc6 2",)
        )

    def do(self, step: Step, request: StepRequest) -> StepResult:
        self.at_work = None
        self.during.pop(step, lambda: None)()
        release = self.published.get(request.version)
        if step is Step.REINSTALL and request.version not in self.cached:
            return StepResult(step, request.version, Problem.NOT_PUBLISHED, "its .deb is not in the cache")
        if release is None:
            return StepResult(step, request.version, Problem.NOT_PUBLISHED, "it is not in the signed lists")
        if release.problems.get(step):
            return StepResult(step, request.version, release.problems[step].pop(0), "as the test wants it")
        if step is Step.REFRESH:
            return StepResult(step, request.version, urgency=release.urgency)
        if step is Step.REINSTALL or (step is Step.INSTALL and not release.misses):
            (self.installs if step is Step.INSTALL else self.reinstalls_done).append(request.version)
            self.installed_version = request.version
            self.cached.add(request.version)
            if self.classic:
                self.on_disk.clear()
                self.current = request.version if self.current is not None else None
            self.on_disk.add(request.version)
            if self.current is None:  # NAME's postinst
                self.current = request.version
                self._run()
        return StepResult(step, request.version)

    # Packages

    def installed(self) -> Installed:
        if self.dpkg_unreadable:
            raise OSError(5, "Input/output error")
        return Installed(self.installed_version, self.held, self.broken)

    def compare(self, a: str, b: str) -> int:
        return (a > b) - (a < b)

    # Releases

    def active(self) -> str | None:
        return self.current if self.current in self.on_disk else None

    def complete(self, version: str) -> bool:
        return version in self.on_disk

    def present(self) -> list[str]:
        return sorted(self.cached if self.classic else self.on_disk, reverse=True)

    def reinstalls(self, version: str) -> bool:
        return self.classic and self.installed_version != version

    def shun(self, versions: frozenset[str]) -> None:
        if self.shun_errors:
            raise OSError(28, self.shun_errors.pop(0))
        self.shunned = versions

    def activate(self, version: str) -> None:
        if self.flip_errors:
            raise ReleaseError(self.flip_errors.pop(0))
        if version not in self.on_disk:
            raise ReleaseError(f"{version} is not complete")
        self.current = version
        if self.own_restart_after_flip and self.running is not None and self.published[self.running].crashes:
            self.restarts += 1
            self._run()

    def terms(self, version: str) -> ReleaseTerms:
        return self.published[version].terms if version in self.on_disk and not self.classic else ReleaseTerms()

    def protect(self, versions: frozenset[str]) -> None:
        self.protected = versions

    def remove_others(self, keep: frozenset[str]) -> list[str]:
        self.kept.append(keep)
        if self.classic:
            self.cached &= keep
            return []
        gone = sorted(self.on_disk - keep)
        self.on_disk &= keep
        return [f"{self.name}-app-{version}" for version in gone]

    # Service

    def state(self) -> ServiceState:
        crashed = self.running is not None and self.published[self.running].crashes
        return ServiceState(
            active=self.running is not None and not crashed,
            failed=False,
            restarts=self.restarts,
            main_pid=self.pid if self.running is not None else 0,
            release=self.running,
            words="activating (auto-restart)" if crashed else "active (running)",
        )

    def restart(self) -> None:
        if self.restart_errors:
            raise ServiceError(self.restart_errors.pop(0))
        self.restarts = 0
        self._run()

    def stop(self) -> None:
        if self.stop_errors:
            raise ServiceError(self.stop_errors.pop(0))
        self.running = None

    def begin(self, command: ReleaseCommand, version: str) -> FakeRunningCommand | None:
        release = self.published[version]
        if self.begin_errors:
            raise ServiceError(self.begin_errors.pop(0))
        if command is ReleaseCommand.HEALTH and release.health_waits:
            self.waiting = WaitingCommand(CommandResult)
            return self.waiting
        if command is ReleaseCommand.HEALTH:
            return None if release.health is None else FakeRunningCommand(lambda: CommandResult(release.health))
        if not getattr(release.terms, command):
            return None
        return FakeRunningCommand(lambda: self._hook(command, version))

    def _hook(self, command: ReleaseCommand, version: str) -> CommandResult:
        self.hooks.append((str(command), version, self.current, self.running))
        self.during_hook.pop(command, lambda: None)()
        problem = self.published[version].hook_problems.get(command)
        return CommandResult(problem, f"{command} of {version} speaks" if problem else "")

    def journal_tail(self, since: datetime, max_characters: int = 16_384) -> str:
        self.tails_since.append(since)
        return f"Traceback of {self.running}"[:max_characters]

    def _run(self) -> None:
        assert self.current is not None
        self.running = self.current
        self.pid += 1
        self.starts.append(self.running)
        if self.published[self.running].crashes:
            self.restarts += 1

    # ConditionsProbe

    def read(self) -> Conditions:
        return Conditions(self.problems)


@dataclass
class _Machine:
    """``ports.Machine``."""

    world: World

    def reboot_flag(self) -> RebootFlag | None:
        return self.world.flag

    def reboot(self) -> None:
        self.world.reboots += 1
        if self.world.reboot_errors:
            raise OSError(self.world.reboot_errors.pop(0))


@dataclass
class _Apt:
    """``ports.AptSource``."""

    world: World

    def write(self, settings: AptSettings) -> bool:
        changed = self.world.apt != settings
        self.world.apt = settings
        return changed

    def remove(self) -> None:
        self.world.apt = None


@dataclass
class FakeServer:
    """``pi_hook.client.Server``: grants what the test offers, and remembers everything in order."""

    clock: FakeClock
    offered: Offer | None = None
    withheld: Withheld | None = None
    hold: str | None = None
    channel: str = "stable"
    timezone: str | None = None
    interval: int = 300
    reachable: bool = True
    refusal: int | None = None
    """An HTTP status with which every call is refused."""
    rejects: Callable[[Status], bool] = lambda status: False
    registrations: list[Registration] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    calls: int = 0
    before_answer: Callable[[], None] = lambda: None

    def offer(self, version: str, urgency: str, *, expedited: bool = False, name: str = "sample-assistant") -> Offer:
        """Offer a version from now on; its id is of the version."""
        now = self.clock.wall
        self.offered = Offer(f"update-{version}", name, version, Urgency(urgency), now, expedited)
        return self.offered

    def register(self, enrollment_token: str, registration: Registration) -> Registered:
        self._reach()
        if enrollment_token != "enroll-me":
            raise RefusedError("unknown enrollment token", kind="unauthorized", status=401)
        self.registrations.append(registration)
        return Registered(registration.id, self.channel, "active")

    def heartbeat(self, identity: Identity, heartbeat: Heartbeat) -> HeartbeatAnswer:
        self._reach()
        self.heartbeats.append(heartbeat)
        return HeartbeatAnswer(
            self.clock.wall, self.interval, self.channel, self.hold, self.offered, self.withheld, self.timezone
        )

    def report(self, identity: Identity, batch: list[Status]) -> int:
        self._reach()
        assert 1 <= len(batch) <= 100
        assert len({status.update_id for status in batch}) == 1
        if any(self.rejects(status) for status in batch):
            raise RefusedError("unknown status", kind="invalid", status=422)
        for status in batch:
            if status in self.statuses:  # told before; the answer was lost, or the outbox
                continue
            assert status.sequence > (self.statuses[-1].sequence if self.statuses else 0)
            self.statuses.append(status)
            # A server offers no update that has ended.
            if status.status in {"succeeded", "rolled_back", "failed"} and self.offered is not None:
                self.offered = None if self.offered.update_id == status.update_id else self.offered
        return batch[-1].sequence

    def rotate(self, identity: Identity, token_sha256: str) -> None:
        self._reach()
        raise RefusedError("nothing at this address", kind="not_found", status=404)  # an older server

    def words(self, version: str | None = None) -> list[str]:
        """The statuses told, of one version or of all."""
        return [s.status for s in self.statuses if version is None or s.version == version]

    def _reach(self) -> None:
        self.calls += 1
        if not self.reachable:
            raise ServerError("the server cannot be asked")
        if self.refusal is not None:
            raise RefusedError("not welcome", kind="refused", status=self.refusal)
