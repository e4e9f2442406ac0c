"""How an update ends: outcome, memory of what was bad, and which releases stay on the disk. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook.effects import Effect, Facts, Note, Protect, Shun, Sweep, Transition
from pi_hook.update import MOST_HISTORY, UNREPORTED, Bad, Device, Outcome, Past, Update

if TYPE_CHECKING:
    from datetime import datetime

_MOST_BAD = 50


def note(
    update: Update,
    status: str,
    *,
    reason: str | None = None,
    retry_at: datetime | None = None,
    detail: str | None = None,
    log_tail: str | None = None,
) -> Note:
    """A status of this update."""
    return Note(update.offer.update_id, update.version, status, reason, retry_at, detail, log_tail)


def told_of(update: Update, detail: str | None = None) -> str | None:
    """A detail, and who has overridden the gate, if anybody has."""
    return "; ".join(words for words in (detail, update.override) if words) or None


def barred(update: Update, facts: Facts) -> str | None:
    """Why there is no way back from this update, as a sentence; None where there is one, or nothing to go back to."""
    if facts.barred is None:
        return None
    no_way = f"there is no way back from {update.version} to {update.previous}"
    return f"{no_way}, as {facts.barred} is the oldest that it can go back to"


def succeeded(device: Device, update: Update, now: datetime) -> Transition:
    """The new release has passed its soak; the one before it stays, for a person's way back."""
    keep = _versions(update.version, update.previous or device.last_good)
    device = replace(device, last_good=update.version)
    return _end(device, update, Outcome.SUCCEEDED, now, effects=(Protect(keep), Sweep(keep)))


def rolled_back(device: Device, update: Update, now: datetime) -> Transition:
    """The previous release is active again and well. The bad one stays installed (dpkg), so its layers do too."""
    # What is well now is the last good one, also where a person left one that was.
    device = replace(device, last_good=update.previous)
    keep = _versions(update.version, update.previous)
    detail = f"{update.why or 'the new release was not healthy'}; {update.previous} is active again"
    return _end(device, update, Outcome.ROLLED_BACK, now, detail=detail, effects=(Protect(keep), Sweep(keep)))


def failed(device: Device, update: Update, now: datetime, *, detail: str) -> Transition:
    """The update has ended badly, and there is or was no way back."""
    return _end(device, update, Outcome.FAILED, now, detail=detail)


def _end(
    device: Device,
    update: Update,
    outcome: Outcome,
    now: datetime,
    *,
    detail: str | None = None,
    effects: tuple[Effect, ...] = (),
) -> Transition:
    detail = told_of(update, detail)
    offer = update.offer
    past = Past(offer.update_id, update.version, outcome, now, detail, offer.granted_at, offer.expedited)
    bad = tuple(bad for bad in device.bad if bad.version != update.version)
    if outcome is not Outcome.SUCCEEDED:
        bad = (*bad, Bad(update.version, offer.granted_at, offer.expedited))[-_MOST_BAD:]
    device = replace(device, update=None, bad=bad, history=(*device.history, past)[-MOST_HISTORY:])
    tail = None if outcome is Outcome.SUCCEEDED else update.log_tail
    notes = (note(update, str(outcome), detail=detail, log_tail=tail),)
    effects = (*effects, Shun(frozenset(one.version for one in bad)))
    return Transition(device, notes if offer.update_id != UNREPORTED else (), effects)


def _versions(*versions: str | None) -> frozenset[str]:
    return frozenset(version for version in versions if version is not None)
