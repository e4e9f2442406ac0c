"""The seams between the daemon's policy and the world: what the daemon needs, as small Protocols of plain values.

Each Protocol has one real implementation (named in its docstring) and one in-memory fake in ``tests/support``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Step(StrEnum):
    """Long work that runs in a systemd unit of its own, ``pi-hook-STEP.service``, and outlives the daemon."""

    REFRESH = "refresh"
    """Fetch the lists of our own apt source; check the candidate against the offer."""
    DOWNLOAD = "download"
    """Fetch every .deb of the granted version into the agent's own cache."""
    INSTALL = "install"
    """Run unattended-upgrades for exactly the granted version."""
    REINSTALL = "reinstall"
    """Install the version to go back to from the agent's own cache, where it cannot be flipped to."""
    LISTS = "lists"
    """Fetch the lists that a system upgrade goes by: our source's, and the system's where its packages count."""
    SYSTEM = "system"
    """Upgrade the system's own packages as the settings say, then the agent itself."""


UPDATE_STEPS = (Step.REFRESH, Step.DOWNLOAD, Step.INSTALL)
"""The steps of an update of the assistant, in their order; the others are the system's."""


class Problem(StrEnum):
    """Why a step could not do its work; each is either a deferral reason of the gate or final for this version."""

    UNREACHABLE = "unreachable"  # network or server; try again with backoff
    REFUSED = "refused"  # 401, 403: the repository does not know this device
    NOT_PUBLISHED = "not_published"  # the offered version is not in the signed lists (yet)
    URGENCY_MISMATCH = "urgency_mismatch"  # the signed urgency is not the offered one
    UNTRUSTED = "untrusted"  # apt or debsig-verify refused a signature or a hash
    DEPENDENCY_BLOCKED = "dependency_blocked"
    DISK_FULL = "disk_full"
    READ_ONLY_ROOT = "read_only_root"
    APT_LOCKED = "apt_locked"
    DPKG_FAILED = "dpkg_failed"  # dpkg does not say "installed" afterwards
    INTERRUPTED = "interrupted"  # the unit ended without leaving a result


@dataclass(frozen=True, slots=True)
class StepRequest:
    """What a step is to work on."""

    name: str
    version: str
    urgency: str
    """The offered urgency, ``scheduled`` or ``urgent``; checked against signed metadata, never believed."""


@dataclass(frozen=True, slots=True)
class SystemRequest:
    """What a step of the system is to work on; no two are equal, so that a result is never taken for another's."""

    name: str
    """The assistant, which is left alone."""
    packages: str
    """``none``, ``security`` or ``all`` of the system's own packages."""
    begun: datetime
    """When it was asked for (aware)."""

    @property
    def version(self) -> str:
        """By what logs and results name it, as an update by its version."""
        return f"{self.packages} at {self.begun.isoformat(timespec='seconds')}"


Request = StepRequest | SystemRequest


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step left behind; ``problem`` is None on success."""

    step: Step
    version: str
    problem: Problem | None = None
    message: str = ""
    """One sentence for people: what happened and what to do."""
    urgency: str | None = None
    """After REFRESH: the most urgent of the signed versions above the installed one, up to the granted one."""
    bytes_fetched: int = 0
    not_before: datetime | None = None
    """After REFRESH: the Date of the verified InRelease (aware); a clock that shows less is not believed."""
    changed: tuple[str, ...] = ()
    """After SYSTEM: what dpkg has otherwise than before, as ``PACKAGE VERSION``."""


class RunningStep(Protocol):
    """A started step. Real: ``pi_hook.units.SystemdStep``."""

    def fileno(self) -> int:
        """A descriptor that becomes readable when the step has ended (a pidfd), for a selector."""

    def result(self) -> StepResult:
        """The result, once ended; ``INTERRUPTED`` where the unit left none. Never raises."""

    def close(self) -> None:
        """Release the descriptor."""


class StepRunner(Protocol):
    """Starts steps. Real: ``pi_hook.units.SystemdSteps``."""

    def start(self, step: Step, request: Request) -> RunningStep:
        """Start a step, or join it where its unit is still at work for the same request (after a daemon restart)."""

    def join(self, step: Step, request: Request) -> RunningStep | None:
        """The step where its unit is still at work for this request, else None: never starts anything.

        After a crash or a power cut an interrupted installation has to ask the gate again before it is started anew.
        """

    def left(self, step: Step, request: Request) -> StepResult | None:
        """What the unit has left for exactly this request, if it has ended in the meantime."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What dpkg says about the assistant."""

    version: str | None
    """The version of ``NAME`` whose dpkg status is exactly ``install ok installed``; None otherwise."""
    held: bool = False
    """``apt-mark hold``."""
    broken: str | None = None
    """dpkg's status words where ``NAME`` or a layer of it is not wholly installed."""


class Packages(Protocol):
    """dpkg's database, read cheaply. Real: ``pi_hook.dpkg.Dpkg``."""

    def installed(self) -> Installed:
        """The state now; one ``dpkg-query`` call, no python-apt (memory)."""

    def compare(self, a: str, b: str) -> int:
        """Negative, zero, positive, as dpkg orders versions."""


STARTING_SECONDS = 30.0
"""What a release may take to start that does not say."""


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """What a release asks of its activation and of the way back (``release.json``)."""

    before_activation: bool = False
    """Whether it has such a hook."""
    after_rollback: bool = False
    """Whether it has such a hook."""
    oldest_rollback: str | None = None
    """The oldest version that can use what this one leaves behind."""
    starting_seconds: float = STARTING_SECONDS
    """How long it may take after a start until it looks well for the first time."""


class Releases(Protocol):
    """Release directories and ``current``, or one ordinary package. Real: ``pi_hook.releases.AssistantReleases``."""

    def active(self) -> str | None:
        """The version that ``current`` names and that is complete; None where missing, dangling or incomplete.

        Of one ordinary package: the version that is wholly installed.
        """

    def complete(self, version: str) -> bool:
        """Whether the release directory and its deps layer are wholly there."""

    def present(self) -> list[str]:
        """The versions that are complete here, highest first."""

    def reinstalls(self, version: str) -> bool:
        """Whether it takes the step REINSTALL to go back to this version: there is nothing to flip."""

    def shun(self, versions: frozenset[str]) -> None:
        """Have apt take none of these versions by itself, and no others than these; durable."""

    def activate(self, version: str) -> None:
        """Sync, then point ``current`` at the version by one rename, then sync the folder. Raises ``ReleaseError``."""

    def protect(self, versions: frozenset[str]) -> None:
        """Write the exact package names of these versions' layers as never to be auto-removed (durable)."""

    def remove_others(self, keep: frozenset[str]) -> list[str]:
        """Remove the layers of all other versions; returns the package names removed."""

    def terms(self, version: str) -> ReleaseTerms:
        """What the release asks of its activation and of the way back; nothing where its record cannot be read."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What systemd and /proc say about the assistant's unit."""

    active: bool
    """ActiveState is ``active`` and SubState ``running``."""
    failed: bool
    restarts: int
    """systemd's NRestarts: automatic restarts since the last start by hand."""
    main_pid: int
    release: str | None
    """PI_OTA_RELEASE of the main process; None without a process."""
    words: str = ""
    """For people: e.g. ``failed (Result: exit-code)``."""


class ReleaseCommand(StrEnum):
    """A command that a release brings along; run in its directory, in its environment, as the service's user."""

    HEALTH = "health"
    """Whether the running release is well."""
    BEFORE_ACTIVATION = "before_activation"
    """Before ``current`` is flipped to it; the release before runs meanwhile."""
    AFTER_ROLLBACK = "after_rollback"
    """After ``current`` was flipped away from it again; nothing runs meanwhile."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of a release's command."""

    problem: str | None = None
    """One sentence; None where it went well."""
    output: str = ""
    """The end of what it said, secrets removed."""


class RunningCommand(Protocol):
    """A started command of a release. Real: ``pi_hook.release_command.Running``."""

    def fileno(self) -> int:
        """A descriptor that is readable when the command has said something or has ended, for a selector."""

    def result(self) -> CommandResult | None:
        """The result, once ended; None while it is at work. Never waits, never raises."""

    def close(self) -> None:
        """Release the descriptor."""


class Service(Protocol):
    """The assistant's unit. Real: ``pi_hook.service.AssistantService``."""

    def state(self) -> ServiceState: ...

    def stop(self) -> None:
        """Stop it. Raises ``ServiceError`` where systemd refuses."""

    def restart(self) -> None:
        """``reset-failed``, then restart. Raises ``ServiceError`` where systemd refuses; a crash shows in ``state``."""

    def begin(self, command: ReleaseCommand, version: str) -> RunningCommand | None:
        """Start a command of a release, without waiting; None where the release names no such command.

        A hook that an earlier run of the daemon left at work is ended first. Raises ``ServiceError`` where it cannot
        be started.
        """

    def journal_tail(self, since: datetime, max_characters: int = 16_384) -> str:
        """The unit's last journal lines since then, secrets removed."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One reading of all clocks, taken together."""

    wall: datetime
    """Aware, UTC."""
    monotonic: float
    """Seconds of CLOCK_BOOTTIME: runs on through suspend, starts with the boot."""
    synchronised: bool


class Clock(Protocol):
    """Real: ``pi_hook.clock.SystemClock``."""

    def read(self) -> ClockReading: ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """What forbids installing right now, apart from time and use; gathered by ``pi_hook.conditions``."""

    problems: frozenset[str] = field(default_factory=frozenset)
    """Of DISK_FULL, READ_ONLY_ROOT, APT_LOCKED, METERED, ON_BATTERY."""


class ReleaseError(Exception):
    """A release cannot be activated; the text says why and what to do."""


class ServiceError(Exception):
    """systemd refused to restart the assistant; the text holds its words."""


@dataclass(frozen=True, slots=True)
class AptSettings:
    """What apt needs to know of our repository and of this device."""

    server_url: str
    """``https://SERVER`` or, for hosts that development allows, ``http://HOST:PORT``."""
    debian: str
    """The Debian release, which names the repository's prefix: ``trixie``."""
    channel: str
    assistant: str
    device_id: str
    device_token: str = field(repr=False)
    proxy: str | None = field(default=None, repr=False)
    """``http://[USER:PASSWORD@]HOST:PORT`` for the agent's own runs of apt; a person's runs go as apt is configured."""
    bandwidth_kilobytes_per_second: int = 0
    """Of the agent's own runs; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class RebootFlag:
    """The system asks for a restart."""

    cause: str | None
    """The packages that ask for it, with their versions; None where none is named."""


class Machine(Protocol):
    """The device as a whole. Real: ``pi_hook.reboot.SystemMachine``."""

    def reboot_flag(self) -> RebootFlag | None:
        """Whether some package has asked for a restart since the boot; cheap, never raises."""

    def reboot(self) -> None:
        """Shut down in order and start again. Raises ``OSError`` where systemd refuses."""


class AptSource(Protocol):
    """apt's knowledge of our repository. Real: ``pi_hook.apt_source.AptSourceFiles``."""

    def write(self, settings: AptSettings) -> bool:
        """Write source, credentials, pins and hook (each atomically); True where anything changed."""

    def remove(self) -> None:
        """Remove all of these again (a retired device)."""


class ConditionsProbe(Protocol):
    """Real: ``pi_hook.conditions.SystemConditions``."""

    def read(self) -> Conditions:
        """The conditions now; cheap (called about once a minute while an update waits), never raises."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Everything the daemon works with, real or fake; the real ones are put together in ``pi_hook.assemble``."""

    steps: StepRunner
    packages: Packages
    releases: Releases
    service: Service
    conditions: ConditionsProbe
    apt_source: AptSource
    machine: Machine
