"""One device's progress through one update: the statuses and the moves between them. Pure.

The order comes from the device's sequence numbers, never from arrival or from clocks, so the server cannot move
backwards. What a device reports is always recorded; only a legal move that is newer than what is known changes
anything.

Moves (DESIGN.md, "One update on the device"):

- ``granted`` is the server's own and only the beginning.
- While preparing (refreshed, downloading, downloaded) any step may come again: a refresh is repeated, a download
  restarts.
- ``deferred`` may come while preparing, again with another reason, and from ``installing`` (the gate is asked once more
  before activating); from it every later step may follow. It may also come from ``activating`` and ``restarting``: an
  agent that was interrupted there asks its gate anew, and so may begin to activate once more.
- Otherwise installing, activating, restarting, verifying only go on, or repeat after a power cut.
- Steps may be left out: a server restored from a backup hears from the middle of an update.
- rolled_back and failed are final, and so is succeeded but for a person at the device: who goes back from a release
  later on (``pi-hook rollback``) makes it rolled_back, or failed where the release before is not well either.
- No report reopens a finished update. An operator who expedites it after a failure makes it ``granted`` once more: a
  new attempt, whose reports go on counting in the device's own sequence.

Waiting is not failing: only a device that has started can be stuck, either silent (no word from it at all; it may never
come back, so this counts as a failure) or without progress (its heartbeats come, the next status does not).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Status(StrEnum):
    """Where a device is in an update."""

    GRANTED = "granted"
    REFRESHED = "refreshed"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    DEFERRED = "deferred"
    INSTALLING = "installing"
    ACTIVATING = "activating"
    RESTARTING = "restarting"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


FINAL = frozenset({Status.SUCCEEDED, Status.ROLLED_BACK, Status.FAILED})
STARTED = frozenset({Status.INSTALLING, Status.ACTIVATING, Status.RESTARTING, Status.VERIFYING})
"""The device is at work on the release itself; the server no longer takes the grant back."""

FAILURES = frozenset({Status.ROLLED_BACK, Status.FAILED})

_STARTED_IN_ORDER = (Status.INSTALLING, Status.ACTIVATING, Status.RESTARTING, Status.VERIFYING)


class Stuck(StrEnum):
    """How a device that has started is stuck."""

    SILENT = "silent"
    NO_PROGRESS = "no_progress"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a started device may take."""

    silent: timedelta
    """Without any word from it."""
    progress: timedelta
    """From one status to the next."""


class Verdict(StrEnum):
    """What became of one reported status."""

    APPLIED = "applied"
    STALE = "stale"  # not newer than what is known: a repeat, or one that came late
    ILLEGAL = "illegal"


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known: the status and the sequence number that brought it (0: the server's own ``granted``)."""

    status: Status = Status.GRANTED
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """One status as the device wrote it."""

    sequence: int
    status: Status


def legal(before: Status, after: Status) -> bool:
    """Whether a device may move from ``before`` to ``after``."""
    if before is Status.SUCCEEDED:
        return after in {Status.ROLLED_BACK, Status.FAILED}
    if after is Status.GRANTED or before in FINAL:
        return False
    if after in FINAL or before not in STARTED:
        return True
    if after is Status.DEFERRED:
        return before is not Status.VERIFYING
    if (before, after) == (Status.RESTARTING, Status.ACTIVATING):
        return True
    return after in STARTED and _STARTED_IN_ORDER.index(after) >= _STARTED_IN_ORDER.index(before)


def apply(known: Progress, report: Report, *, same_version: bool = True) -> tuple[Progress, Verdict]:
    """The progress after a report, and what became of the report. Only ``APPLIED`` changes the progress.

    ``same_version``: whether the report names the update's own version; one that does not is no move of this update.
    """
    if report.sequence <= known.sequence:
        return known, Verdict.STALE
    if not same_version or not legal(known.status, report.status):
        return known, Verdict.ILLEGAL
    return Progress(report.status, report.sequence), Verdict.APPLIED


def stuck(
    status: Status, *, progress_at: datetime, contact_at: datetime, now: datetime, patience: Patience
) -> Stuck | None:
    """Whether and how a device is stuck.

    ``progress_at``: when its last status came. ``contact_at``: when anything last came from it; the caller puts in the
    server's own start where that is later, as nobody could be heard before it.
    """
    if status not in STARTED:
        return None
    if now - max(contact_at, progress_at) > patience.silent:
        return Stuck.SILENT
    return Stuck.NO_PROGRESS if now - progress_at > patience.progress else None
