"""What the desk says: plain words for what the API names by a code, each with how serious it is. Pure.

Codes that come from devices may be newer than this server: every function takes any text and has words for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from babel.dates import format_date

from repo_server import nights
from repo_server.desk.filters import duration
from repo_server.grant import Reason, UpdateState, Urgency
from repo_server.lifecycle import Status, Stuck, Verdict
from repo_server.plan import SUPERSEDED, State
from repo_server.presence import Presence

_NEAR = timedelta(hours=20)
"""Within it a clock shows no time twice, but where it is set back."""


class Kind(StrEnum):
    """How serious it is: the kinds of a badge."""

    OK = "ok"
    WAIT = "wait"
    """On its way; nobody has to do anything."""
    WARN = "warn"
    """Somebody should look at it."""
    BAD = "bad"
    IDLE = "idle"
    """Nothing goes on."""


@dataclass(frozen=True, slots=True)
class Said:
    """Words for a code."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Why:
    """Words for a reason; they follow a colon."""

    kind: Kind
    text: str
    mend: str | None = None
    """A sentence that says what ends it, where somebody can."""


@dataclass(frozen=True, slots=True)
class GateSaid:
    """A device's gate: ``text`` stands alone, and ``why`` follows it after a colon."""

    kind: Kind
    text: str
    why: str | None = None
    mend: str | None = None
    code: str | None = None
    """The reason as devices, logs and the API name it."""


REASONS: dict[str, Why] = {
    # What the device's gate says, in its order, and what the server withholds for.
    "HELD_BY_ADMIN": Why(Kind.WAIT, "somebody holds this device", "Release the hold to let updates go on."),
    "WITHHELD": Why(Kind.WAIT, "the server does not let this device install now"),
    "CLOCK_UNSYNCED": Why(
        Kind.WARN,
        "it does not know the time yet, so it cannot tell night from day",
        "Let it reach a time server (NTP), or this server.",
    ),
    "NOT_DOWNLOADED": Why(Kind.WAIT, "the release is not wholly downloaded yet"),
    "DEPENDENCY_BLOCKED": Why(
        Kind.BAD,
        "a package that the release needs cannot be installed",
        "Look at what `apt-get install --simulate` says on the device, or at the agent's version.",
    ),
    "DISK_FULL": Why(Kind.BAD, "it has not enough free space", "Free some space on the device."),
    "READ_ONLY_ROOT": Why(
        Kind.BAD, "its file system can only be read", "Look at the SD card: a worn one is made read-only by the kernel."
    ),
    "APT_LOCKED": Why(Kind.WAIT, "another program is using apt on the device"),
    "METERED": Why(Kind.WAIT, "its network connection is metered"),
    "ON_BATTERY": Why(Kind.WAIT, "it runs on battery"),
    "BUSY": Why(Kind.WAIT, "the assistant is in the middle of something"),
    "OUTSIDE_WINDOW": Why(Kind.WAIT, "it is not this device's time of night"),
    "RECENT_ACTIVITY": Why(Kind.WAIT, "somebody used the assistant a short while ago"),
    Reason.PAUSED: Why(Kind.WAIT, "the update is paused", "Resume the update to let it go on."),
    Reason.HALTED: Why(Kind.WARN, "the update is halted", "Look at what failed, then resume or withdraw the update."),
    Reason.WITHDRAWN: Why(Kind.IDLE, "the update was withdrawn"),
    Reason.NOT_IN_WAVE: Why(Kind.WAIT, "its wave is not open yet", "Expedite it to skip the waves."),
    Reason.FAILED_HERE: Why(Kind.BAD, "it has failed on this device before", "Expedite it to let it try once more."),
    SUPERSEDED: Why(Kind.IDLE, "a newer release goes before it"),
    # What the server notes of a device's progress.
    "EXPEDITED": Why(Kind.WAIT, "somebody expedited it"),
    "SILENT": Why(Kind.BAD, "nothing is heard of the device since it began"),
    "NO_PROGRESS": Why(Kind.WARN, "its heartbeats come, but it does not get on"),
    "HEARD_AGAIN": Why(Kind.OK, "it is heard of again"),
}

_STATUSES: dict[str, Said] = {
    Status.GRANTED: Said(Kind.WAIT, "may install"),
    Status.REFRESHED: Said(Kind.WAIT, "has seen the release"),
    Status.DOWNLOADING: Said(Kind.WAIT, "downloads"),
    Status.DOWNLOADED: Said(Kind.WAIT, "has downloaded it"),
    Status.DEFERRED: Said(Kind.WAIT, "waits for its moment"),
    Status.INSTALLING: Said(Kind.WAIT, "installs"),
    Status.ACTIVATING: Said(Kind.WAIT, "switches over"),
    Status.RESTARTING: Said(Kind.WAIT, "restarts the assistant"),
    Status.VERIFYING: Said(Kind.WAIT, "proves that it is well"),
    Status.SUCCEEDED: Said(Kind.OK, "succeeded"),
    Status.ROLLED_BACK: Said(Kind.BAD, "went back to the release before"),
    Status.FAILED: Said(Kind.BAD, "failed"),
    # Of a wave's numbers only:
    "waiting": Said(Kind.IDLE, "not granted yet"),
    "newer": Said(Kind.OK, "has it or a newer one by other means"),
}
_PRESENCES: dict[str, Said] = {
    Presence.ONLINE: Said(Kind.OK, "online"),
    Presence.LATE: Said(Kind.WARN, "late"),
    Presence.LOST: Said(Kind.BAD, "lost"),
}
_DEVICE_STATES: dict[str, Said] = {
    "active": Said(Kind.OK, "let in"),
    "pending": Said(Kind.WARN, "waits for approval"),
    "decommissioned": Said(Kind.IDLE, "retired"),
}
_UPDATE_STATES: dict[str, Said] = {
    UpdateState.ACTIVE: Said(Kind.OK, "active"),
    UpdateState.PAUSED: Said(Kind.WARN, "paused"),
    UpdateState.HALTED: Said(Kind.BAD, "halted"),
    UpdateState.WITHDRAWN: Said(Kind.IDLE, "withdrawn"),
}
_URGENCIES: dict[str, Said] = {
    Urgency.SCHEDULED: Said(Kind.IDLE, "scheduled: at night"),
    Urgency.URGENT: Said(Kind.WARN, "urgent: as soon as nobody has used it for a while"),
}
_STUCK: dict[str, Said] = {
    Stuck.SILENT: Said(Kind.BAD, "silent since it began"),
    Stuck.NO_PROGRESS: Said(Kind.WARN, "does not get on"),
}
_VERDICTS: dict[str, Said] = {
    Verdict.APPLIED: Said(Kind.OK, "counts"),
    Verdict.STALE: Said(Kind.IDLE, "came late or twice; changes nothing"),
    Verdict.ILLEGAL: Said(Kind.WARN, "does not follow from what was known; changes nothing"),
}
_PLANNED: dict[str, Said] = {
    State.DONE: Said(Kind.OK, "done"),
    State.FAILED: Said(Kind.BAD, "failed"),
    State.UNDER_WAY: Said(Kind.WAIT, "under way"),
    State.OPEN: Said(Kind.WAIT, "may begin"),
    State.WAITING: Said(Kind.IDLE, "waits for its wave"),
    State.BLOCKED: Said(Kind.WARN, "does not get it"),
}


def reason(code: str) -> Why:
    """Why an update waits or what the server noted, for a code of a device or of ours."""
    return REASONS.get(code) or Why(Kind.WARN, f"{_plain(code)} (this server has no better words for it)")


def status(code: str) -> Said:
    """Where a device is in an update."""
    return _known(_STATUSES, code)


def presence(code: str | None) -> Said:
    """Whether a device is there; None: it is retired, and nobody waits for it."""
    return _known(_PRESENCES, code) if code is not None else Said(Kind.IDLE, "not expected")


def device_state(code: str) -> Said:
    """Whether a device is let in."""
    return _known(_DEVICE_STATES, code)


def update_state(code: str) -> Said:
    """Whether an update spreads."""
    return _known(_UPDATE_STATES, code)


def urgency(code: str) -> Said:
    """How soon devices install a release."""
    return _known(_URGENCIES, code)


def stuck(code: str) -> Said:
    """How a device that has begun is stuck."""
    return _known(_STUCK, code)


def verdict(code: str) -> Said:
    """What became of a reported status."""
    return _known(_VERDICTS, code)


def planned(code: str) -> Said:
    """Where a device is in the plan of an update."""
    return _known(_PLANNED, code)


def gate(decision: str | None, code: str | None, retry_at: datetime | None, zone: str, now: datetime) -> GateSaid:
    """What a device's gate last said, as of ``now``; ``zone`` is the name of the zone that the device goes by.

    ``decision`` None: it has said nothing yet. ``retry_at`` is when its rules could say yes at the earliest.
    """
    if decision is None:
        return GateSaid(Kind.IDLE, "has not told anything of its gate yet")
    if decision == "install":
        return GateSaid(Kind.OK, "free to install")
    if decision == "nothing":
        return GateSaid(Kind.IDLE, "nothing to install")
    why = reason(code) if code is not None else Why(Kind.WAIT, "the device gives no reason")
    if retry_at is None:
        return GateSaid(why.kind, "waiting", why.text, why.mend, code)
    if retry_at <= now:
        ago = duration(now - retry_at)
        text = f"could have begun at {wall_time(retry_at, zone, now)}, {ago} ago; its next heartbeat will tell"
    else:
        text = f"waiting for {wall_time(retry_at, zone, now)}, in {duration(retry_at - now)}"
    return GateSaid(why.kind, text, why.text, why.mend, code)


def wall_time(at: datetime, zone: str, now: datetime) -> str:
    """An instant as a clock on the device's wall shows it, so that it can be told from every other one.

    ``02:00 Europe/Berlin``; the day where it is not near ``now``, the year in another one; the offset
    from UTC where the clocks show this time twice. In UTC where this machine does not know the zone.
    """
    known = nights.zone(zone)
    there = at.astimezone(known or UTC)
    words = [f"{there:%H:%M}"]
    if abs(at - now) >= _NEAR:
        same_year = there.year == now.astimezone(known or UTC).year
        day = format_date(there.date(), "EEEE d MMMM" if same_year else "EEEE d MMMM y", locale="en")
        words.append(f"on {day}")
    words.append(zone if known is not None else "UTC")
    if there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset():
        offset = f"{there:%z}"
        words.append(f"(UTC{offset[:3]}:{offset[3:5]})")
    return " ".join(words)


def _known(words: dict[str, Said], code: str) -> Said:
    return words.get(code) or Said(Kind.IDLE, _plain(code))


def _plain(code: str) -> str:
    return code.replace("_", " ").lower()
