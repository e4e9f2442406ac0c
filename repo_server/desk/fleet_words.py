"""What the first page says of who needs attention. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from repo_server.attention import About, Cause, Concern, Item, Section
from repo_server.desk import words
from repo_server.desk.words import Kind


@dataclass(frozen=True, slots=True)
class Told:
    """Of one cause."""

    kind: Kind
    badge: str
    """On the badge, a word or two."""
    sentence: str
    """Behind the subject's name, or a colon; ``{version}`` and ``{detail}`` are put in."""
    more: str
    """After a number of others."""
    all: str | None = None
    """The address of a list of all of them; of the update's page where they are about one and this is None."""


CAUSES: Mapping[Cause, Told] = {
    Cause.REPOSITORY_BROKEN: Told(Kind.BAD, "no updates", ": {detail}", "with the repository", "/setup/repository"),
    Cause.HALTED: Told(Kind.BAD, "halted", "is halted: {detail}", "halted rollouts", "/updates?state=halted"),
    Cause.SILENT: Told(
        Kind.BAD, "silent", "began to install {version} and was not heard of since", "silent since they began"
    ),
    Cause.CLONED: Told(
        Kind.BAD, "two of one", "may be two machines with one identity", "suspected to be two", "/devices?cloned=true"
    ),
    Cause.FAILED: Told(Kind.BAD, "failed", "failed with {version}{because}", "on which it failed"),
    Cause.ROLLED_BACK: Told(
        Kind.BAD, "rolled back", "went back from {version} to the release before{because}", "that went back"
    ),
    Cause.NO_PROGRESS: Told(
        Kind.WARN, "stuck", "began to install {version} and does not get on", "that do not get on"
    ),
    Cause.BLOCKED: Told(
        Kind.WARN, "blocked", "cannot install: {detail}", "that cannot install", "/devices?attention=true"
    ),
    Cause.REENROLLMENT: Told(
        Kind.WARN, "other token", "asks to be let in again with another token", "that ask to be let in again",
        "/devices?reenrollment=true",
    ),
    Cause.PENDING: Told(
        Kind.WARN, "new", "waits to be let in", "that wait to be let in", "/devices?state=pending"
    ),
    Cause.REPOSITORY_WARNS: Told(Kind.WARN, "repository", ": {detail}", "about the repository", "/setup/repository"),
    Cause.API_KEY: Told(Kind.WARN, "key ends", "{detail}", "keys that expire soon", "/setup/keys"),
    Cause.LOST: Told(Kind.WARN, "lost", "is not heard of any more", "that are lost", "/devices?presence=lost"),
    Cause.CLOCK: Told(
        Kind.WARN, "no time", "does not know the time, so no night begins for it", "that do not know the time"
    ),
    Cause.PAUSED: Told(Kind.WARN, "paused", "is paused", "paused rollouts", "/updates?state=paused"),
    Cause.REBOOT: Told(
        Kind.IDLE, "restart due", "asks for a restart, so that upgraded system packages are used",
        "that ask for a restart",
    ),
}  # fmt: skip

_PLACES: Mapping[About, str] = {
    About.DEVICE: "/devices/{id}",
    About.UPDATE: "/updates/{id}",
    About.REPOSITORY: "/setup/repository",
    About.API_KEY: "/setup/keys",
}


def told(cause: Cause) -> Told:
    """Words for a cause."""
    return CAUSES[cause]


def sentence(concern: Concern) -> str:
    """What is wrong with it, to follow its name."""
    detail = concern.detail or ""
    if concern.cause is Cause.BLOCKED:
        detail = words.reason(detail).text
    return (
        CAUSES[concern.cause]
        .sentence.format(
            version=concern.update[1] if concern.update is not None else "a release",
            detail=detail,
            because=f": {detail}" if detail else "",
        )
        .removesuffix(": ")
    )


def also(item: Item) -> str:
    """What else is wrong with it: ``also lost, restart due``; empty where nothing is."""
    return f"also {', '.join(CAUSES[cause].badge for cause in item.also)}" if item.also else ""


def place(concern: Concern) -> str:
    """The address of its page."""
    return _PLACES[concern.about].format(id=concern.id)


def everything(section: Section) -> str | None:
    """The address where the others are; None where no page lists them."""
    return CAUSES[section.cause].all or (f"/updates/{section.update}" if section.update is not None else None)


def others(section: Section) -> str:
    """``and 195 more that are lost``, or with nobody named, ``195 that are lost``."""
    number = f"more than {section.more:,}" if section.or_more else f"{section.more:,}"
    begin = (
        f"and {number} more" if section.items and not section.or_more else f"and {number}" if section.items else number
    )
    return f"{begin} {CAUSES[section.cause].more}"
