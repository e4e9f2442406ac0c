"""The words of the gate: why an update waits, for programs and for people, in one place.

The same words appear in the log, in ``pi-hook status``, in systemd's status line, in the heartbeat, on the dashboard.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why the gate defers, in the order in which they are given (DESIGN.md, "The gate")."""

    HELD_BY_ADMIN = "HELD_BY_ADMIN"
    WITHHELD = "WITHHELD"
    CLOCK_UNSYNCED = "CLOCK_UNSYNCED"
    NOT_DOWNLOADED = "NOT_DOWNLOADED"
    DEPENDENCY_BLOCKED = "DEPENDENCY_BLOCKED"
    DISK_FULL = "DISK_FULL"
    READ_ONLY_ROOT = "READ_ONLY_ROOT"
    APT_LOCKED = "APT_LOCKED"
    METERED = "METERED"
    ON_BATTERY = "ON_BATTERY"
    BUSY = "BUSY"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    RECENT_ACTIVITY = "RECENT_ACTIVITY"


WORDS: dict[Reason, str] = {
    Reason.HELD_BY_ADMIN: "held by a person; `pi-hook release` or the operator lifts it",
    Reason.WITHHELD: "the server does not let this device install now",
    Reason.CLOCK_UNSYNCED: "the time is not known yet, so the nightly window cannot be found",
    Reason.NOT_DOWNLOADED: "the release is not wholly downloaded yet",
    Reason.DEPENDENCY_BLOCKED: "a package it depends on cannot be installed",
    Reason.DISK_FULL: "there is not enough free space",
    Reason.READ_ONLY_ROOT: "the root file system is read-only",
    Reason.APT_LOCKED: "another program is using apt",
    Reason.METERED: "the network connection is metered",
    Reason.ON_BATTERY: "the device runs on battery",
    Reason.BUSY: "the assistant is in the middle of something",
    Reason.OUTSIDE_WINDOW: "it is not this device's time of night",
    Reason.RECENT_ACTIVITY: "somebody used the assistant a short while ago",
}


def gate_words(decision: str, reason: str | None, retry_at: datetime | None) -> str:
    """One line for people, e.g. ``waiting: RECENT_ACTIVITY, somebody used … (next try 2026-03-29T02:30:00Z)``."""
    if decision == "install":
        return "free to install"
    if decision == "nothing" or reason is None:
        return "nothing to install"
    retry = f" (next try {rfc3339(retry_at)})" if retry_at is not None else ""
    return f"waiting: {reason}, {WORDS[Reason(reason)]}{retry}"


def rfc3339(instant: datetime) -> str:
    """An aware instant as RFC 3339 in UTC with ``Z``; fractions of a second only where there are any."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
