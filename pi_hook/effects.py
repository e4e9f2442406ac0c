"""What the state machine looks at and what it asks for: plain values between ``pi_hook.machine`` and the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pi_hook.ports import Installed, ReleaseCommand, ReleaseTerms, Step

if TYPE_CHECKING:
    from datetime import datetime

    from pi_hook.update import Device


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of the device now, as dpkg, the file system and systemd say."""

    installed: Installed = field(default_factory=lambda: Installed(None))
    active: str | None = None
    """What ``current`` names and is complete."""
    complete: bool = False
    """Whether the offered version's release directory is wholly there."""
    running: str | None = None
    """The release of the running process."""
    serving: bool = False
    """Whether the assistant's unit is active."""
    problems: frozenset[str] = frozenset()
    """Of the conditions of the gate."""
    terms: ReleaseTerms = field(default_factory=ReleaseTerms)
    """Of the version at work."""
    reinstall: bool = False
    """Whether the version before the one at work cannot be flipped to, but has to be installed again."""
    barred: str | None = None
    """The oldest version that the version at work can go back to, where the one before it is older still."""

    def holds(self, version: str) -> bool:
        """Whether dpkg has this version wholly installed and its release is complete."""
        return self.installed.version == version and self.installed.broken is None and self.complete


@dataclass(frozen=True, slots=True)
class BeginStep:
    """Start the step for the update at work; its result comes as ``step_ended``."""

    step: Step


@dataclass(frozen=True, slots=True)
class JoinStep:
    """Join the step where it is still at work, else tell ``step_gone``; never start it."""

    step: Step


@dataclass(frozen=True, slots=True)
class AskGate:
    """Ask the gate now and whenever its answer may have changed; a changed answer comes as ``gate_said``."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Wait as is due after so many problems in a row, then ``retry``."""

    tries: int


@dataclass(frozen=True, slots=True)
class Protect:
    """Keep the layers of these versions from being auto-removed."""

    versions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Flip:
    """Point ``current`` at a version; then ``flipped``."""

    version: str


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run a hook of a version without waiting; then ``hook_ended``."""

    hook: ReleaseCommand
    version: str


@dataclass(frozen=True, slots=True)
class StopService:
    """Stop the service; where that fails the log says so, and what follows is done all the same."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the service, unless this version's process is already the running one; then ``restarted``."""

    version: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch the service for the soak; then ``watched``."""

    version: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Remove the layers of all versions but these."""

    keep: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shun:
    """Have apt keep away from these versions."""

    versions: frozenset[str]


Effect = (
    BeginStep
    | JoinStep
    | AskGate
    | RetryLater
    | Protect
    | Flip
    | RunHook
    | StopService
    | Restart
    | Watch
    | Sweep
    | Shun
)


@dataclass(frozen=True, slots=True)
class Note:
    """A status to be written; the daemon gives it number and time."""

    update_id: str
    version: str
    status: str
    reason: str | None = None
    retry_at: datetime | None = None
    detail: str | None = None
    log_tail: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """The new state and its statuses, to be made durable together, and then the effects, in order."""

    device: Device
    notes: tuple[Note, ...] = ()
    effects: tuple[Effect, ...] = ()
