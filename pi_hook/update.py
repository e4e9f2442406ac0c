"""What the device remembers of its updates: plain values, made durable by ``pi_hook.state``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime  # the durable form is read off the annotations
from enum import StrEnum

from pi_hook.policy import Urgency
from pi_hook.wire import Offer, Withheld  # as above

MOST_HISTORY = 10
UNREPORTED = "-"
"""Stands for the update's id where the server knows of none: what a person did is in the log and the history only."""


class Phase(StrEnum):
    """How far the one update at work is. Each is entered durably before anything is done in it."""

    GRANTED = "granted"  # waits to refresh (at first, or again after a problem)
    REFRESHING = "refreshing"  # the step is at work
    REFRESHED = "refreshed"  # waits to download
    DOWNLOADING = "downloading"  # the step is at work
    DOWNLOADED = "downloaded"  # asks the gate whether to install
    INSTALLING = "installing"  # the step is at work
    INSTALLED = "installed"  # asks the gate whether to activate; ``current`` is still the old one
    PREPARING = (
        "preparing"  # the gate said yes: the hook ``before_activation`` is at work; then the gate is asked again
    )
    ACTIVATING = "activating"  # the gate said yes: ``current`` is being flipped
    RESTARTING = "restarting"  # ``current`` is flipped: the service is being restarted
    VERIFYING = "verifying"  # the new release is watched
    REINSTALLING = "reinstalling"  # it was unwell: the step that installs the version before it again is at work
    RETURNING = "returning"  # it was unwell: ``current`` is being flipped back and the service restarted
    RECHECKING = "rechecking"  # the old release is watched


WORKING = frozenset({Phase.REFRESHING, Phase.DOWNLOADING, Phase.INSTALLING, Phase.REINSTALLING})
"""A step is at work."""
REPLACEABLE = frozenset(
    {Phase.GRANTED, Phase.REFRESHING, Phase.REFRESHED, Phase.DOWNLOADING, Phase.DOWNLOADED, Phase.INSTALLED}
)
"""Nothing that a person would notice has begun, so a newer offer may take its place."""


class Outcome(StrEnum):
    """How an update ended."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Update:
    """The one update at work."""

    offer: Offer
    phase: Phase
    signed_urgency: Urgency | None = None
    """From the signed lists; the most urgent of all versions that are skipped over."""
    previous: str | None = None
    """The version to go back to."""
    first: bool = False
    """Nothing was installed before."""
    blocked: str | None = None
    """The reason of the gate that the last problem of a step stands for, until it is tried again."""
    tries: int = 0
    """Problems in a row in this phase."""
    strikes: int = 0
    """Problems of the kind that ends an update when it comes again and again."""
    deferred_reason: str | None = None
    """Of the last deferral that was reported in this phase."""
    deferred_retry_at: datetime | None = None
    restarted_at: datetime | None = None
    """When the release that is being watched was started (for the journal)."""
    why: str | None = None
    """What was wrong with the release that was activated."""
    log_tail: str | None = None
    hook_done: bool = False
    """The hook of this phase has been run, and what it did still holds."""
    override: str | None = None
    """Who has said that no rule of time is to be asked, for people."""

    @property
    def version(self) -> str:
        """The offered version."""
        return self.offer.version

    @property
    def urgency(self) -> Urgency:
        """What the gate goes by: the signed one; until that is known, the slower one."""
        return self.signed_urgency or Urgency.SCHEDULED

    def enter(self, phase: Phase) -> Update:
        """In another phase, with its counters at zero and its hook not run."""
        return replace(
            self, phase=phase, blocked=None, tries=0, deferred_reason=None, deferred_retry_at=None, hook_done=False
        )


@dataclass(frozen=True, slots=True)
class Past:
    """An update that has ended."""

    update_id: str
    version: str
    outcome: Outcome
    at: datetime
    detail: str | None = None
    granted_at: datetime | None = None
    """Of the grant it was tried under; None where an older agent noted it."""
    expedited: bool = False


@dataclass(frozen=True, slots=True)
class Bad:
    """A version that failed here, by the grant it was tried under."""

    version: str
    granted_at: datetime
    expedited: bool


@dataclass(frozen=True, slots=True)
class Device:
    """All that the state machine goes by."""

    update: Update | None = None
    withheld: Withheld | None = None
    hold: str | None = None
    """The operator's words, until the server lifts it."""
    held_here: bool = False
    """By ``pi-hook hold``, until ``pi-hook release``."""
    last_good: str | None = None
    """The last version that passed its soak here."""
    bad: tuple[Bad, ...] = field(default=())
    history: tuple[Past, ...] = field(default=())
    """Newest last."""

    @property
    def held(self) -> bool:
        """Whether a person has said to wait."""
        return self.hold is not None or self.held_here

    def is_bad(self, offer: Offer) -> bool:
        """Whether the offered version failed here and this grant does not clear that.

        Only a later expedited grant does: the one it failed under is offered again with every heartbeat.
        """
        bad = next((bad for bad in self.bad if bad.version == offer.version), None)
        if bad is None:
            return False
        return not offer.expedited or (bad.expedited and offer.granted_at <= bad.granted_at)
