"""Who gets an update when, as far as the server can know it. Pure.

What is certain: the order of the waves and who is in each. What follows from the rules: when a wave opens if nothing
halts it, and when the device's window opens in its zone. What is a guess: when nobody uses it; only the device knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from repo_server import nights, waves
from repo_server.grant import BY_STATE, Reason, UpdateState, Urgency
from repo_server.lifecycle import FAILURES, STARTED, Status
from repo_server.versions import compare

IDLE_REQUIRED = timedelta(hours=1)
"""The device's default for urgent releases; its own settings may say otherwise."""
SUPERSEDED = "SUPERSEDED"

_HOUR = timedelta(hours=1)


class State(StrEnum):
    """Where a device is in the plan."""

    DONE = "done"
    FAILED = "failed"
    UNDER_WAY = "under_way"
    OPEN = "open"
    WAITING = "waiting"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    """What the plan is for."""

    id: str
    version: str
    urgency: Urgency
    state: UpdateState
    rollout: waves.Rollout
    stopped_at: datetime | None = None
    superseded_targets: frozenset[tuple[str, str]] = frozenset()
    """For these a newer release will be offered."""


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """What the server knows of one device."""

    id: str
    group: str | None = None
    timezone: str = "Etc/UTC"
    installed: str | None = None
    active: str | None = None
    hold: str | None = None
    status: Status | None = None
    """In this update; None where nothing was granted yet."""
    expedited: bool = False
    idle: timedelta | None = None
    """When it was last heard of."""
    seen_at: datetime | None = None
    target: tuple[str, str] = ("", "")
    """Debian release and architecture."""
    habits: Mapping[int, float] = field(default_factory=dict)
    """By hour of the day in UTC: in which share of its recent heartbeats nobody had used it for ``IDLE_REQUIRED``."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One device's place in the plan."""

    wave: int
    opens_at: datetime | None
    state: State
    reason: str | None = None
    earliest_at: datetime | None = None
    likely_at: datetime | None = None
    basis: str | None = None


def openings(update: PlannedUpdate, now: datetime) -> list[datetime | None]:
    """When each wave opened or will open, if nothing stops it; of a stopped update as if it were resumed now.

    All None for a withdrawn update, and where waves do not count: then they tell nothing.
    """
    rollout = update.rollout
    if update.state is UpdateState.WITHDRAWN:
        return [None] * len(rollout.waves)
    if update.state is not UpdateState.ACTIVE:
        rollout = replace(rollout, opening=waves.go_on(rollout.opening, update.stopped_at, now))
    found: list[datetime | None] = list(rollout.opening.opened)
    at = rollout.opening.dwell_from
    for wave in rollout.waves[len(found) - 1 : -1]:
        if at is not None:
            at = max(at + (wave.dwell or timedelta(0)), now)
        found.append(at)
    if rollout.expedited:
        return [one if one is not None and one <= now else now for one in found]
    return found


def expected(
    update: PlannedUpdate, device: PlannedDevice, opening: Sequence[datetime | None], now: datetime
) -> Expectation:
    """What is to be expected of one device; ``opening`` is what ``openings`` says."""
    wave = waves.wave_of(update.rollout.waves, update.id, device.id, device.group)
    opens_at = now if device.expedited and update.state is not UpdateState.WITHDRAWN else opening[wave]
    state, reason = _state(update, device, opens_at, now)
    if state in {State.DONE, State.FAILED, State.UNDER_WAY} or opens_at is None or reason == SUPERSEDED:
        return Expectation(wave, opens_at, state, reason)
    earliest, likely, basis = _when(update, device, max(opens_at, now), now)
    return Expectation(wave, opens_at, state, reason, earliest, likely, basis)


def _state(
    update: PlannedUpdate, device: PlannedDevice, opens_at: datetime | None, now: datetime
) -> tuple[State, str | None]:
    if device.status in STARTED:
        return State.UNDER_WAY, None
    if device.status in FAILURES:
        return State.FAILED, Reason.FAILED_HERE
    if _has_it(update, device):
        return State.DONE, None
    blocked = _blocked(update, device)
    if blocked is not None:
        return State.BLOCKED, blocked
    opened = opens_at is not None and opens_at <= now
    return (State.OPEN, None) if opened else (State.WAITING, Reason.NOT_IN_WAVE)


def _has_it(update: PlannedUpdate, device: PlannedDevice) -> bool:
    has = device.installed or device.active
    there = compare(has, update.version) if has is not None else -1
    return device.status is Status.SUCCEEDED or there > 0 or (there == 0 and device.status is None)


def _blocked(update: PlannedUpdate, device: PlannedDevice) -> str | None:
    if device.hold is not None:
        return Reason.HELD_BY_ADMIN
    newer = {device.target, (device.target[0], "all")} & update.superseded_targets
    if newer and (device.installed is not None or device.active is not None):
        return SUPERSEDED
    return BY_STATE.get(update.state)


def _when(
    update: PlannedUpdate, device: PlannedDevice, not_before: datetime, now: datetime
) -> tuple[datetime | None, datetime | None, str]:
    if device.installed is None and device.active is None:
        return not_before, None, "a first installation waits for nothing but its wave"
    zone = nights.zone(device.timezone)
    night = nights.earliest(not_before, zone, device.id) if zone is not None else None
    window = f"the window from 02:00 to 04:00 in {device.timezone}"
    if zone is None:
        window = f"no window: the server does not know the time zone {device.timezone}"
    if update.urgency is Urgency.SCHEDULED or device.idle is None or device.seen_at is None:
        return night, None, window
    # Nobody has used it since, as far as the server knows.
    rested = device.seen_at + (IDLE_REQUIRED - device.idle)
    earliest = max(not_before, rested)
    if night is not None and night < earliest:
        return night, None, window
    likely = _usually_idle(device.habits, earliest)
    basis = f"an hour without use, last heard of {_in_words(now - device.seen_at)} ago; used before that, it is later"
    if likely is None:
        return earliest, None, basis
    if night is not None:
        likely = min(likely, night)
    return earliest, likely, f"{basis}; likely from its use at this hour in recent days, a guess"


def _usually_idle(habits: Mapping[int, float], not_before: datetime) -> datetime | None:
    """The first instant in an hour of the day in which it was idle more often than not."""
    start = not_before.replace(minute=0, second=0, microsecond=0)
    for ahead in range(24):
        hour = start + ahead * _HOUR
        if habits.get(hour.hour, 0.0) > 0.5:  # noqa: PLR2004 - more often than not
            return max(hour, not_before)
    return None


def _in_words(length: timedelta) -> str:
    """A length of time in the largest unit that fits."""
    seconds = max(int(length.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
