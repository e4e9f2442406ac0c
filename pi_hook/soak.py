"""Is a release that was just started well? Pure: one look at a time, until the soak is over or something is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pi_hook.ports import ServiceState

_SOON = 1.0
_LONGEST_PAUSE = 10.0
_LOOKS = 6
_A_MOMENT = 0.001
"""Seconds: what rounding leaves of the soak is no reason to look again."""


@dataclass(frozen=True, slots=True)
class Soak:
    """One release being watched; instants are seconds on the monotonic clock."""

    version: str
    length: float
    starting: float
    """How long it may take until it looks well for the first time."""
    began: float
    good_since: float | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: over (``unwell`` is None when all is well), or to be looked at again."""

    soak: Soak
    over: bool
    unwell: str | None = None
    again_in: float = _SOON


def looks_well(soak: Soak, state: ServiceState) -> bool:
    """Whether the health command is worth running: the unit is active and the process of the right release."""
    return state.active and state.restarts == 0 and state.release == soak.version


def look(soak: Soak, state: ServiceState, health: str | None, now: float) -> Look:
    """One look at the service; ``health`` is the health command's complaint, None where it has none.

    Any automatic restart counts: systemd's counter is zero after a restart by hand, and after a boot.
    """
    if state.restarts > 0:
        return Look(soak, over=True, unwell=f"systemd restarted it {state.restarts} times; {state.words}".rstrip("; "))
    if state.failed:
        return Look(soak, over=True, unwell=state.words or "the unit has failed")
    if soak.good_since is not None and state.main_pid not in {0, soak.pid}:  # a person's restart begins the soak anew
        soak = replace(soak, began=now, good_since=None)
    complaint = _complaint(soak, state, health)
    if complaint is not None:
        starting = soak.good_since is None and now - soak.began < soak.starting
        return Look(soak, over=not starting, unwell=None if starting else complaint)
    good_since = now if soak.good_since is None else soak.good_since
    soak = replace(soak, good_since=good_since, pid=state.main_pid)
    left = soak.length - (now - good_since)
    if left < _A_MOMENT:
        return Look(soak, over=True)
    pause = min(_LONGEST_PAUSE, max(_SOON, soak.length / _LOOKS))
    return Look(soak, over=False, again_in=min(left, pause))


def _complaint(soak: Soak, state: ServiceState, health: str | None) -> str | None:
    if not state.active:
        return state.words or "the unit is not active"
    if state.release != soak.version:
        return f"the running process is of release {state.release or 'unknown'}, not {soak.version}"
    return health
