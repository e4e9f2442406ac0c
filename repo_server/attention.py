"""Who needs attention first. Pure.

A concern is one thing that is wrong with one device, update, key or with the repository. Nobody reads a list of all of
them: it is ranked by what they do to whoever uses an assistant, each subject is named once, and of each cause only the
few that wait longest. A flood of one cause hides no other; how many more there are is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

API_KEY_AHEAD = timedelta(days=14)
"""How long before its end an API key is worth a word."""


class Cause(StrEnum):
    """What is wrong; the worst first."""

    REPOSITORY_BROKEN = "repository_broken"
    """Devices refuse what is published, or cannot get it: no update reaches anybody."""
    HALTED = "halted"
    """A rollout stopped because it did harm."""
    SILENT = "silent"
    """A device began to install and was not heard of since: it may be broken."""
    CLONED = "cloned"
    """Two machines go by one identity: each may get what was meant for the other."""
    FAILED = "failed"
    """The newest release failed on a device, and what runs there now is not known to be well."""
    ROLLED_BACK = "rolled_back"
    """The device went back to the release before, which runs."""
    NO_PROGRESS = "no_progress"
    """A device that began to install does not get on."""
    BLOCKED = "blocked"
    """The device cannot install before somebody does something at it: its disk is full, its card worn."""
    REENROLLMENT = "reenrollment"
    """A device has lost its token, and gets no update until somebody decides."""
    PENDING = "pending"
    """A new device waits to be let in."""
    REPOSITORY_WARNS = "repository_warns"
    """It will be refused some day: a key near its end, an old signature."""
    API_KEY = "api_key"
    """A person or program will be locked out."""
    LOST = "lost"
    """Not heard of for long; most are unplugged."""
    CLOCK = "clock"
    """Without the time a device knows no night, so scheduled updates wait."""
    PAUSED = "paused"
    """A rollout that somebody has paused a while ago, and perhaps forgotten."""
    REBOOT = "reboot"
    """System packages are upgraded and not in use."""


RANK: Mapping[Cause, int] = {cause: place for place, cause in enumerate(Cause)}


class About(StrEnum):
    """What kind of thing a concern is about."""

    DEVICE = "device"
    UPDATE = "update"
    REPOSITORY = "repository"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something may be so before it is worth a word."""

    clock: timedelta = timedelta(hours=1)
    """A Pi has no clock of its own, and needs a while after each start."""
    reboot: timedelta = timedelta(days=7)
    paused: timedelta = timedelta(days=1)
    api_key: timedelta = API_KEY_AHEAD


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that is wrong with one subject."""

    cause: Cause
    about: About
    id: str
    name: str
    since: datetime | None = None
    """None where nobody knows."""
    update: tuple[str, str] | None = None
    """Id and version of the update in which it went wrong."""
    detail: str | None = None
    """What else is known, as a sentence."""
    mend: str | None = None
    """The command that puts it right."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one cause: those that wait longest, and how many there are."""

    cause: Cause
    concerns: Sequence[Concern]
    total: int
    or_more: bool = False
    """Counted only so far."""


@dataclass(frozen=True, slots=True)
class Item:
    """One subject, under what is worst about it."""

    concern: Concern
    also: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """What is told of one cause."""

    cause: Cause
    items: tuple[Item, ...]
    more: int
    """How many others there are that are named nowhere in the list."""
    or_more: bool
    update: str | None
    """The update that all of them are about, where it is one."""


def rank(found: Iterable[Found], *, each: int, most: int) -> list[Section]:
    """The list: worst cause first, within a cause who waits longest.

    Of each cause at most ``each`` subjects are named, of all together at most ``most``. A subject is named under its
    worst cause alone, with the others beside it.
    """
    known = sorted(found, key=lambda one: RANK[one.cause])
    subjects: dict[tuple[About, str], list[Concern]] = {}
    for one in known:
        for concern in one.concerns:
            subjects.setdefault((concern.about, concern.id), []).append(concern)
    named: dict[Cause, list[Item]] = {one.cause: [] for one in known}
    told: dict[Cause, int] = dict.fromkeys(named, 0)
    left = most
    for item in sorted((_item(concerns) for concerns in subjects.values()), key=_order):
        cause = item.concern.cause
        if left and len(named[cause]) < each:
            left -= 1
            named[cause].append(item)
            for counted in (cause, *item.also):
                told[counted] += 1
    sections = (_section(one, named[one.cause], told[one.cause]) for one in known)
    return [section for section in sections if section.items or section.more]


def _item(concerns: Sequence[Concern]) -> Item:
    """``concerns`` of one subject, the worst first; of several of one cause the first counts."""
    worst = concerns[0]
    also = dict.fromkeys(one.cause for one in concerns if one.cause is not worst.cause)
    return Item(worst, tuple(also))


def _order(item: Item) -> tuple[int, datetime, str]:
    concern = item.concern
    return RANK[concern.cause], concern.since or datetime.max.replace(tzinfo=UTC), concern.id


def _section(found: Found, items: Sequence[Item], told: int) -> Section:
    updates = {concern.update[0] for concern in found.concerns if concern.update is not None}
    more = max(found.total - told, 0)
    return Section(
        cause=found.cause,
        items=tuple(items),
        more=more,
        or_more=found.or_more and more > 0,
        update=updates.pop() if len(updates) == 1 else None,
    )
