"""Whether one device may install, and what. Pure: plain values in, a decision with its reason out.

Rules, in this order:

1. Candidates are the updates of the device's assistant on its channel, built for its target, above what it has
   installed; and the one it has installed already while it is still working through it.
2. A candidate that the device has started (installing or later) stays granted: a pause stops only those who have not.
3. Otherwise the highest candidate that was not withdrawn is the one that counts; it supersedes those below it, whatever
   its own state. It is granted, or withheld with its reason. A grant keeps its time while it lasts.
4. A device that has no version at all gets the highest candidate that nothing speaks against, superseded or not: an
   older release is better than none.
5. Where every candidate was withdrawn, the highest is withheld for that.

What speaks against one, in this order: the operator's hold on the device, the update's state, a final failure of it on
this device, a wave that is not open yet. See docs/adr/0016-a-newer-release-supersedes.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from repo_server.lifecycle import STARTED, Status
from repo_server.versions import compare, version_key
from repo_server.waves import EVERYBODY, Reach


class Urgency(StrEnum):
    """How soon the device's gate may open."""

    SCHEDULED = "scheduled"
    URGENT = "urgent"


class UpdateState(StrEnum):
    """The rollout's state."""

    ACTIVE = "active"
    PAUSED = "paused"
    HALTED = "halted"
    WITHDRAWN = "withdrawn"


class Reason(StrEnum):
    """Why a device does not get an update; the words of docs/INTERFACES.md."""

    HELD_BY_ADMIN = "HELD_BY_ADMIN"
    PAUSED = "PAUSED"
    HALTED = "HALTED"
    WITHDRAWN = "WITHDRAWN"
    NOT_IN_WAVE = "NOT_IN_WAVE"
    FAILED_HERE = "FAILED_HERE"


BY_STATE = {
    UpdateState.PAUSED: Reason.PAUSED,
    UpdateState.HALTED: Reason.HALTED,
    UpdateState.WITHDRAWN: Reason.WITHDRAWN,
}


ENDED_BY_EXPEDITING = frozenset({Reason.NOT_IN_WAVE, Reason.FAILED_HERE})
"""Reasons that an operator may set aside for one device."""


@dataclass(frozen=True, slots=True)
class UpdateFacts:
    """One update on the device's channel, of the device's assistant."""

    id: str
    name: str
    version: str
    urgency: Urgency
    state: UpdateState
    targets: frozenset[tuple[str, str]]
    """Pairs of Debian release and architecture that it was built for."""
    reach: Reach = EVERYBODY
    """Whom its open waves hold; everybody unless told otherwise."""
    expedited: bool = False
    """Waves do not count."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knows of this device and one update."""

    status: Status
    granted_at: datetime | None
    """None while the grant is taken back (a pause, a hold)."""
    urgency: Urgency
    """As offered."""
    expedited: bool = False
    """For this device waves do not count, and a failure from before the operator said so does not either."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What counts about the device."""

    debian: str
    architecture: str
    installed: str | None
    active: str | None
    hold: str | None
    updates: Mapping[str, Known] = field(default_factory=dict)
    """By update id."""
    id: str = ""
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """The device may install ``update``."""

    update: UpdateFacts
    urgency: Urgency
    """The most urgent of the versions above the installed one, up to this one: a skipped urgency is not lost."""
    granted_at: datetime
    expedited: bool = False


@dataclass(frozen=True, slots=True)
class Withhold:
    """There is an update, and the device may not install it now."""

    update: UpdateFacts
    reason: Reason


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing newer for this device."""


Decision = Grant | Withhold | Nothing


def update_to_expedite(decision: Decision) -> UpdateFacts | None:
    """The update that the device would get if an operator expedited it there; None where that would change nothing."""
    if isinstance(decision, Withhold) and decision.reason in ENDED_BY_EXPEDITING:
        return decision.update
    return None


def grant(device: DeviceFacts, updates: Sequence[UpdateFacts], now: datetime) -> Decision:
    """Decide for one device. ``updates`` are those of its assistant and channel, in any order."""
    candidates = sorted(
        (update for update in updates if _is_candidate(device, update)),
        key=lambda update: version_key(update.version),
        reverse=True,
    )
    for update in candidates:
        known = device.updates.get(update.id)
        if known is not None and known.status in STARTED:
            return _granted(device, update, updates, now)
    offered = [update for update in candidates if update.state is not UpdateState.WITHDRAWN] or candidates
    has_none = device.installed is None and device.active is None
    withheld: Withhold | None = None
    for update in offered if has_none else offered[:1]:
        reason = _speaks_against(device, update)
        if reason is None:
            return _granted(device, update, updates, now)
        withheld = withheld or Withhold(update, reason)
    return withheld or Nothing()


def offered(updates: Sequence[UpdateFacts]) -> set[str]:
    """Versions that ``grant`` may still give to some device, of the updates of one assistant on one channel.

    For each target: from the highest that was not withdrawn down to the first that every device may have now.
    """
    found: set[str] = set()
    ordered = sorted(updates, key=lambda update: version_key(update.version), reverse=True)
    for target in {target for update in updates for target in update.targets}:
        for update in ordered:
            if target not in update.targets or update.state is UpdateState.WITHDRAWN:
                continue
            found.add(update.version)
            if update.state is UpdateState.ACTIVE and (update.expedited or update.reach == EVERYBODY):
                break
    return found


def _is_candidate(device: DeviceFacts, update: UpdateFacts) -> bool:
    if (device.debian, device.architecture) not in update.targets and (device.debian, "all") not in update.targets:
        return False
    known = device.updates.get(update.id)
    if known is not None and known.status is Status.SUCCEEDED:
        return False  # finished; a person who went back by hand is not overruled
    # During the unpack dpkg does not call it installed; then what is running counts.
    base = device.installed or device.active
    if base is None:
        return True
    order = compare(update.version, base)
    return order > 0 or (order == 0 and known is not None)


def _speaks_against(device: DeviceFacts, update: UpdateFacts) -> Reason | None:
    if device.hold is not None:
        return Reason.HELD_BY_ADMIN
    if update.state is not UpdateState.ACTIVE:
        return BY_STATE[update.state]
    known = device.updates.get(update.id)
    if known is not None and known.status in {Status.ROLLED_BACK, Status.FAILED}:
        return Reason.FAILED_HERE
    expedited = update.expedited or (known is not None and known.expedited)
    if not expedited and not update.reach.includes(update.id, device.id, device.group):
        return Reason.NOT_IN_WAVE
    return None


def _granted(device: DeviceFacts, update: UpdateFacts, updates: Sequence[UpdateFacts], now: datetime) -> Grant:
    known = device.updates.get(update.id)
    urgency = _urgency(device, update, updates)
    if known is not None and known.granted_at is not None:
        return Grant(update, urgency, known.granted_at, known.expedited)
    # Expedited is a word about a grant: one that was given before stays what it is.
    return Grant(update, urgency, now, update.expedited or (known is not None and known.expedited))


def _urgency(device: DeviceFacts, update: UpdateFacts, updates: Sequence[UpdateFacts]) -> Urgency:
    known = device.updates.get(update.id)
    if known is not None and device.installed is not None and compare(update.version, device.installed) <= 0:
        return known.urgency  # installed, being activated: nothing lies between any more
    skipped = (
        other
        for other in updates
        if other.state is not UpdateState.WITHDRAWN
        and (device.installed is None or compare(other.version, device.installed) > 0)
        and compare(other.version, update.version) <= 0
    )
    urgent = update.urgency is Urgency.URGENT or any(other.urgency is Urgency.URGENT for other in skipped)
    return Urgency.URGENT if urgent else Urgency.SCHEDULED
