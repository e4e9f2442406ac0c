"""What happens next with an update, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from repo_server import waves
from repo_server.desk.filters import capital, duration, number
from repo_server.desk.update_words import devices, wave
from repo_server.grant import UpdateState, Urgency
from repo_server.standing import Part, Standing
from repo_server.waves import Rollout

Sentence = tuple[str | datetime, ...]
"""Words, and instants that the page shows in the reader's own zone."""
_MOMENT = {
    Urgency.SCHEDULED: "in its own night, when nobody uses it",
    Urgency.URGENT: "as soon as nobody has used it for an hour, or in its night",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of an update."""

    state: UpdateState
    urgency: Urgency
    rollout: Rollout
    standing: Standing
    failures: int = 0
    """Since it was last resumed after a halt; ``finished`` as well, and it holds them too."""
    finished: int = 0
    halt_reason: str | None = None
    stopped_at: datetime | None = None
    superseded_by: str | None = None
    """A version."""
    sizes: Sequence[int] | None = None
    """Of the waves; None where they are not counted yet."""


def sentences(now: Situation) -> list[Sentence]:
    """What happens next and what would keep it from happening, the most important first."""
    if now.state is UpdateState.WITHDRAWN:
        return [("It was withdrawn: no device begins with it any more.",), *_still_at_work(now)]
    if now.state is not UpdateState.ACTIVE:
        return [*_stopped(now), *_still_at_work(now)]
    found = []
    if now.superseded_by is not None:
        found.append((f"{now.superseded_by} goes before it: devices that have not begun are offered that one.",))
    if now.standing.total and not now.standing.not_begun and not now.standing[Part.UNDER_WAY]:
        return [*found, ("Nothing: every device that it is for has an outcome.",)]
    return [*found, *_goes_on(now)]


def _stopped(now: Situation) -> list[Sentence]:
    begun = bool(now.rollout.opening.opened)
    since: Sentence = (" since ", now.stopped_at) if now.stopped_at is not None else ()
    if now.state is UpdateState.HALTED:
        why = f": {now.halt_reason}" if now.halt_reason else ""
        first: Sentence = ("It is halted", *since, f"{why}. Nothing happens until somebody resumes or withdraws it.")
    elif begun:
        first = ("It is paused", *since, ". Nothing happens until somebody resumes it.")
    else:
        first = ("It is announced and has not begun. Nothing happens until somebody resumes it.",)
    return [first, *_once_resumed(now, begun=begun)]


def _once_resumed(now: Situation, *, begun: bool) -> list[Sentence]:
    rollout, opened = now.rollout, len(now.rollout.opening.opened)
    if rollout.expedited or opened == len(rollout.waves):
        return [(f"Once it is resumed, {devices(now.standing.not_begun)} may begin.",)]
    if not begun:
        return [(f"Once it is resumed, {_wave(now, 0)} opens at once.",)]
    due = waves.next_at(rollout)
    if due is None or now.stopped_at is None:
        return []
    left = max((due - now.stopped_at).total_seconds(), 0)
    when = f"{duration(left)} after it is resumed" if left else "as soon as it is resumed"
    return [(f"{capital(_wave(now, opened))} opens {when}.",)]


def _goes_on(now: Situation) -> list[Sentence]:
    rollout, opened = now.rollout, len(now.rollout.opening.opened)
    due = waves.next_at(rollout)
    if due is not None:
        return [(f"{capital(_wave(now, opened))} opens ", due, f", unless {_unless(now)}.")]
    if rollout.expedited and opened < len(rollout.waves):
        first = "It was expedited: waves no longer count."
    else:
        first = "All waves are open."
    return [(f"{first} {capital(devices(now.standing.not_begun, 'has', 'have'))} yet to begin, each {_moment(now)}.",)]


def _unless(now: Situation) -> str:
    limit = now.rollout.limit
    left = waves.failures_left(limit, now.failures, now.finished) if limit is not None else None
    if left is None:
        return "somebody pauses or halts it"
    more = " more" if now.failures else ""
    fail = f"{number(left)}{more} {'device fails' if left == 1 else 'devices in a row fail'}"
    return f"{fail} before that, or somebody pauses or halts it"


def _still_at_work(now: Situation) -> list[Sentence]:
    under_way = now.standing[Part.UNDER_WAY]
    if not under_way:
        return []
    return [(f"{capital(devices(under_way, 'has begun and goes', 'have begun and go'))} on.",)]


def _wave(now: Situation, index: int) -> str:
    return wave(index, now.rollout.waves, now.sizes[index] if now.sizes is not None else None)


def _moment(now: Situation) -> str:
    return _MOMENT[now.urgency]
