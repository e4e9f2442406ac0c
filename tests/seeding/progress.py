"""How far each device is in each update, and what it said on the way."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from repo_server import nights, times
from tests.seeding.devices import Home
from tests.seeding.releases import Release
from tests.seeding.rows import text

FIRST = "2.0.4"
"""What a device has before anything is recorded of it."""
_PATH = ("granted", "refreshed", "downloading", "downloaded", "deferred", "installing", "activating", "restarting",
         "verifying")  # fmt: skip
_REASONS = {
    "OUTSIDE_WINDOW": 58, "RECENT_ACTIVITY": 22, "BUSY": 6, "METERED": 3, "DISK_FULL": 3, "ON_BATTERY": 2,
    "CLOCK_UNSYNCED": 2, "APT_LOCKED": 2, "DEPENDENCY_BLOCKED": 1, "READ_ONLY_ROOT": 1,
}  # fmt: skip
_OF_THE_OPEN_WAVE = {
    "succeeded": 640, "deferred": 190, "downloading": 26, "downloaded": 30, "granted": 36, "refreshed": 8,
    "installing": 12, "activating": 3, "restarting": 4, "verifying": 18, "rolled_back": 12, "failed": 5,
}  # fmt: skip
_OF_THE_HALTED = {"succeeded": 870, "rolled_back": 90, "failed": 40}
_OF_THE_FINISHED = {"succeeded": 990, "rolled_back": 7, "failed": 3}
FAILURES = {
    "the health command ended with status 1": """\
voice-assistant[{pid}]: loading the wake word model
voice-assistant[{pid}]: ALSA lib pcm_dsnoop.c:566: unable to open slave
voice-assistant[{pid}]: OSError: [Errno 16] Device or resource busy: 'hw:1,0'
systemd[1]: voice-assistant.service: Main process exited, code=exited, status=1/FAILURE
pi-hook[{pid}]: unwell after 41 s; going back to the release before""",
    "the assistant was restarted three times within the soak": """\
voice-assistant[{pid}]: MemoryError
systemd[1]: voice-assistant.service: A process of this unit has been killed by the OOM killer.
systemd[1]: voice-assistant.service: Scheduled restart job, restart counter is at 3.
pi-hook[{pid}]: unwell after 73 s; going back to the release before""",
    "dpkg: no space left on device": """\
dpkg: error processing archive voice-assistant-app (--unpack):
 cannot copy extracted data for './usr/lib/voice-assistant/': failed to write (No space left on device)
E: Sub-process /usr/bin/dpkg returned an error code (1)""",
}
"""By what a device says of it, the end of its log."""
HOSTILE_LOG = (
    "</pre><script>alert('log')</script><img src=x onerror=alert(3)>\n\x1b[31mred\x1b[0m \u202egnol\n" + "x" * 2_000
)


@dataclass
class Move:
    """One device in one update: the row, and the statuses that led there as (status, at)."""

    home: Home
    release: Release
    row: dict[str, Any]
    path: list[tuple[str, datetime]] = field(default_factory=list)


def of(chance: random.Random, home: Home, published: list[Release], now: datetime) -> list[Move]:
    """The device's updates, the oldest first; what it has installed and says of its gate becomes part of its row."""
    row = home.row
    if row["state"] == "pending" or row["last_seen_at"] is None:
        return []
    registered, seen = times.parse(row["registered_at"]), times.parse(row["last_seen_at"])
    mine = [release for release in published if release.channel == row["channel"] or release.version < "2.3"]
    row["installed"] = row["active"] = FIRST
    moves = []
    for release in mine:
        if not release.reach.includes(release.row["id"], home.id, row["group_name"]):
            continue
        begins = max(_opened(release, home), registered)
        if begins >= seen or row["state"] == "decommissioned" or (row["hold"] and release.version == "2.3.1"):
            continue
        move = _move(chance, home, release, begins, min(now, seen), is_newest=release is mine[-1])
        home.statuses[release.version] = move.row["status"]
        moves.append(move)
        _installed(row, release.version, move.row["status"])
    _gate(chance, home, mine, now)
    return moves


def _opened(release: Release, home: Home) -> datetime:
    for index, at in enumerate(release.rollout.opening.opened, start=1):
        wave = release.rollout.waves[index - 1]
        if wave.percent is None and home.row["group_name"] == wave.group:
            return at
    return release.rollout.opening.opened[-1]


def _move(
    chance: random.Random, home: Home, release: Release, begins: datetime, until: datetime, *, is_newest: bool
) -> Move:
    state = release.row["state"]
    weights = _OF_THE_OPEN_WAVE if release.version == "2.3.1" else _OF_THE_FINISHED
    weights = _OF_THE_HALTED if state == "halted" else weights
    status = "rolled_back" if home.oddity in {"script", "override"} and is_newest else _choose(chance, weights)
    path = _path(chance, status)
    span = min(until - begins, timedelta(days=2, hours=12))
    ends = begins + span * chance.uniform(0.2, 0.98)
    starts = min(begins + timedelta(minutes=chance.uniform(1, 9)), ends)
    instants = sorted(starts + (ends - starts) * chance.random() for _ in path)
    if status in {"installing", "activating", "restarting", "verifying"}:
        instants[-1] = until - timedelta(seconds=chance.uniform(5, 200))
    row: dict[str, Any] = {
        "device_id": home.id,
        "update_id": release.row["id"],
        "status": status,
        "reason": None,
        "retry_at": None,
        "detail": None,
        "log_tail": None,
        "sequence": len(path) - 1,
        "urgency": release.row["urgency"],
        "granted_at": text(instants[0]),
        "updated_at": text(instants[-1]),
        "stuck": None,
        "stuck_at": None,
        "expedited_at": text(instants[0]) if chance.random() < 0.004 else None,
    }
    if status in {"rolled_back", "failed"}:
        detail, tail = chance.choice(list(FAILURES.items()))
        after = f"{home.row['active']} is active again" if status == "rolled_back" else "it was not activated"
        row["detail"] = f"{detail}; {after}"
        row["log_tail"] = HOSTILE_LOG if home.oddity == "script" else tail.format(pid=chance.randrange(400, 9000))
        if home.oddity == "script":
            row["detail"] = "<img src=x onerror=alert('detail')>"
    elif status == "deferred":
        row["reason"] = _choose(chance, _REASONS)
        row["retry_at"] = text(_retry(home, row["reason"], until))
    elif status in {"installing", "verifying"} and chance.random() < 0.12:
        row |= {"stuck": chance.choice(("silent", "no_progress")), "stuck_at": text(until - timedelta(minutes=9))}
        instants[-1] = until - timedelta(hours=3)
        row["updated_at"] = text(instants[-1])
    return Move(home, release, row, list(zip(path, sorted(instants), strict=True)))


def _path(chance: random.Random, status: str) -> list[str]:
    if status in _PATH:
        words = list(_PATH[: _PATH.index(status) + 1])
        return words if status == "deferred" or chance.random() < 0.5 else [w for w in words if w != "deferred"]
    if status == "failed":
        return [*_PATH[: _PATH.index("installing") + 1], status]
    return [*_PATH, status]


def _installed(row: dict[str, Any], version: str, status: str) -> None:
    if status in {"succeeded", "rolled_back", "activating", "restarting", "verifying"}:
        row["installed"] = version
    if status in {"succeeded", "restarting", "verifying"}:
        row["active"] = version


def _gate(chance: random.Random, home: Home, mine: list[Release], now: datetime) -> None:
    """What the device says of its gate in the newest update that it has not finished."""
    row, newest = home.row, mine[-1]
    status = home.statuses.get(newest.version)
    if row["hold"] is not None:
        row |= {"gate_decision": "defer", "gate_reason": "HELD_BY_ADMIN"}
    elif status is None and row["active"] != newest.version:
        row |= {"gate_decision": "defer", "gate_reason": "WITHHELD"}
    elif status == "deferred":
        reason = _choose(chance, _REASONS)
        row |= {"gate_decision": "defer", "gate_reason": reason, "gate_retry_at": text(_retry(home, reason, now))}
        if reason == "CLOCK_UNSYNCED":
            since = times.parse(row["last_seen_at"]) - timedelta(hours=30) * chance.random()
            row |= {"clock_synchronised": 0, "clock_unsynchronised_since": text(since)}
    elif status in {"downloading", "granted", "refreshed"}:
        row |= {"gate_decision": "defer", "gate_reason": "NOT_DOWNLOADED"}
    elif status in {"installing", "activating", "restarting", "verifying"}:
        row |= {"gate_decision": "install"}
    if status is not None and status not in {"succeeded", "rolled_back", "failed"}:
        row |= {"update_id": newest.row["id"], "update_status": status}


def _retry(home: Home, reason: str, now: datetime) -> datetime | None:
    zone = nights.zone(home.row["timezone"])
    if reason in {"OUTSIDE_WINDOW", "RECENT_ACTIVITY"} and zone is not None:
        return nights.earliest(now, zone, home.id)
    return now + timedelta(minutes=12) if reason == "BUSY" else None


def events(moves: Iterable[Move], told: set[str]) -> Iterator[dict[str, Any]]:
    """What was said on the way: of the devices that are told of everything, of all others in the newest update."""
    for move in moves:
        if move.home.id not in told and move.release.version != "2.3.1":
            continue
        last = len(move.path) - 1
        for number, (status, at) in enumerate(move.path):
            says = number == last
            yield {
                "device_id": move.home.id,
                "update_id": move.release.row["id"],
                "sequence": number or None,
                "status": status,
                "verdict": "applied",
                "version": move.release.version,
                "reason": move.row["reason"] if says else "OUTSIDE_WINDOW" if status == "deferred" else None,
                "retry_at": move.row["retry_at"] if says else None,
                "detail": move.row["detail"] if says else None,
                "log_tail": move.row["log_tail"] if says else None,
                "at": text(at),
                "received_at": text(at),
            }


def halted_because(release: Release, moves: Iterable[Move]) -> str:
    """The sentence that the server gives when failures reach the limit."""
    ends = [move.row["status"] for move in moves if move.release is release]
    failures = sum(status in {"rolled_back", "failed"} for status in ends)
    finished = sum(status in {"rolled_back", "failed", "succeeded"} for status in ends)
    return f"{failures} of {finished} devices that have an outcome failed ({failures / max(finished, 1):.1%})"


def _choose(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
