"""The homes: each with its device, as it registered and as it was last heard of."""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from repo_server import ids
from tests.seeding.rows import text

ASSISTANT = "voice-assistant"
INTERVAL = 300
_ROOMS = ("kitchen", "living-room", "hall", "bedroom", "study", "nursery", "workshop", "garage", "dining-room", "attic")
_PEOPLE = ("Abebe", "Aylin", "Chiara", "Daan", "Eszter", "Fatou", "Ingrid", "Jin", "Karim", "Lena", "Mateus", "Noor",
           "Oluwaseun", "Priya", "Quentin", "Sanna", "Tomás", "Ulrike", "Wiremu", "Zofia")  # fmt: skip
_ZONES = {
    "Europe/Berlin": 30, "Europe/Paris": 12, "Europe/London": 10, "Europe/Warsaw": 5, "America/New_York": 12,
    "America/Chicago": 5, "America/Los_Angeles": 8, "America/Sao_Paulo": 4, "Asia/Kolkata": 5, "Asia/Tokyo": 3,
    "Asia/Kathmandu": 1, "Africa/Nairobi": 2, "Australia/Sydney": 2, "Pacific/Auckland": 1,
}  # fmt: skip
_GROUPS: dict[str | None, int] = {None: 62, "homes-south": 14, "homes-north": 12, "care-homes": 6, "hotel-astoria": 4,
                                  "canary": 2}  # fmt: skip
_BOARDS = {
    ("Raspberry Pi 4 Model B Rev 1.5", "arm64"): 48, ("Raspberry Pi 5 Model B Rev 1.0", "arm64"): 30,
    ("Raspberry Pi 3 Model B Plus Rev 1.3", "arm64"): 9, ("Raspberry Pi Zero 2 W Rev 1.0", "armhf"): 13,
}  # fmt: skip
_HOLDS = ("guests until Sunday", "the family is on holiday", "being repaired at the workshop", "audio test under way")

ODDITIES: dict[str, dict[str, Any]] = {
    "script": {"name": "<script>alert(1)</script>", "hostname": "\"><img src=x onerror=alert('host')>"},
    "long": {
        "name": "The-assistant-that-nobody-ever-gave-a-short-name-" * 4 + "end",
        "hostname": "a-host-name-as-long-as-the-server-takes-it-" * 4 + "to-the-end",
        "model": "Raspberry Pi Compute Module 4 Rev 1.1 with a carrier board of a maker who likes to tell all of it",
        "group_name": "homes-in-the-valley-behind-the-seven-hills-and-the-river",
    },
    "right-to-left": {"name": "مساعد المطبخ في البيت الكبير", "hostname": "מטבח-גדול", "timezone": "Asia/Jerusalem"},
    "override": {"name": "kitchen\u202egnp.exe", "hostname": "hall\u200b\u200b-with-nothing"},
    "entities": {"name": "&lt;b&gt;&amp;nbsp; {{ 7*7 }} {% raw %}", "hostname": "${7*7}-'\"`"},
    "held": {"name": "Grandmother's kitchen", "hold": "guests until Sunday"},
    "clone": {"name": "Copied card"},
    "reenrollment": {"name": "Flashed anew"},
    "unknown-zone": {"name": "Ahead of its time", "timezone": "Europe/Atlantis"},
    "silent-from-the-start": {"name": "Never heard of"},
}
"""By what is odd about them, what such devices say of themselves; what they are called may be anything."""


@dataclass
class Home:
    """One device: its row in the table, and what else is known of it."""

    id: str
    row: dict[str, Any]
    oddity: str | None = None
    late_at: datetime | None = None
    lost_at: datetime | None = None
    is_online: bool = False
    statuses: dict[str, str] = field(default_factory=dict)
    """By version, its status in that update."""

    @property
    def token(self) -> str:
        """What the device authenticates with."""
        return f"pid_seeded_{self.id}"


def homes(chance: random.Random, size: int, now: datetime) -> list[Home]:
    """So many; the first ones are the odd ones, of which there is one each."""
    odd = iter(ODDITIES)
    return [_home(chance, now, next(odd, None)) for _ in range(size)]


def _home(chance: random.Random, now: datetime, oddity: str | None) -> Home:
    registered = now - timedelta(days=90) * chance.betavariate(2, 1.2) - timedelta(days=1)
    home = Home(ids.uuid7(registered, chance.getrandbits), _said(chance, registered), oddity)
    row = home.row
    row |= {"id": home.id, "token_sha256": ids.sha256_hex(home.token)}
    if oddity is not None:
        row |= ODDITIES[oddity]
        row |= _peculiar(oddity, now)
    elif chance.random() < 0.012:
        row |= {"state": "decommissioned", "decommissioned_at": text(now - timedelta(days=20) * chance.random())}
    elif chance.random() < 0.0015:
        row |= {"state": "pending", "registered_at": text(now - timedelta(hours=30) * chance.random())}
    elif chance.random() < 0.006:
        row |= {"hold": chance.choice(_HOLDS)}
    _last_heard(chance, home, registered, now)
    return home


def _said(chance: random.Random, registered: datetime) -> dict[str, Any]:
    room, (model, architecture) = chance.choice(_ROOMS), _choose(chance, _BOARDS)
    number = chance.randrange(1, 4)
    named = chance.random() < 0.35
    return {
        "state": "active",
        "name": f"{chance.choice(_PEOPLE)}, {room.replace('-', ' ')}" if named else None,
        "hostname": room if number == 1 else f"{room}-{number}",
        "group_name": _choose(chance, _GROUPS),
        "channel": "beta" if chance.random() < 0.05 else "stable",
        "timezone": _choose(chance, _ZONES),
        "timezone_override": None,
        "assistant": ASSISTANT,
        "agent_version": "0.1.0" if chance.random() < 0.9 else "0.1.1",
        "debian": "trixie" if chance.random() < 0.6 else "bookworm",
        "architecture": architecture,
        "model": model,
        "hold": None,
        "enrolled_with": None,
        "registered_at": text(registered),
        "decommissioned_at": None,
        "boot_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "clock_synchronised": 1,
        "installed": None,
        "active": None,
        "gate_decision": "nothing",
        "gate_reason": None,
        "gate_retry_at": None,
        "update_id": None,
        "update_status": None,
        "reboot_required": 0,
        "reboot_required_since": None,
        "clock_unsynchronised_since": None,
        "last_heartbeat_id": None,
        "interval_seconds": INTERVAL,
        "pending_token_sha256": None,
        "pending_since": None,
        "cloned_suspected_at": None,
        "rotation_requested_at": None,
    }


def _peculiar(oddity: str, now: datetime) -> dict[str, Any]:
    if oddity == "clone":
        return {"cloned_suspected_at": text(now - timedelta(hours=5))}
    if oddity == "reenrollment":
        other = hashlib.sha256(b"the token after it was flashed anew").hexdigest()
        return {"pending_token_sha256": other, "pending_since": text(now - timedelta(hours=2))}
    return {}


def _last_heard(chance: random.Random, home: Home, registered: datetime, now: datetime) -> None:
    """Most a moment ago, a few late, some lost for days, one never."""
    row, luck = home.row, chance.random()
    ago = timedelta(seconds=chance.uniform(0, INTERVAL + 20))
    if home.oddity is None and luck < 0.022:
        ago = timedelta(minutes=chance.uniform(17, 23 * 60))
    elif home.oddity is None and luck < 0.05:
        ago = timedelta(days=1) + timedelta(days=30) * chance.random() ** 2
    seen: datetime | None = now - ago
    if row["state"] == "decommissioned":
        seen = max(now - timedelta(days=20 + 10 * chance.random()), registered)
    if row["state"] == "pending" or home.oddity == "silent-from-the-start" or (seen is not None and seen < registered):
        seen = None
    row["last_seen_at"] = text(seen)
    row["uptime_seconds"] = int(chance.expovariate(1 / 900_000)) + 120 if seen is not None else None
    row["idle_seconds"] = int(chance.expovariate(1 / 5_400)) if seen is not None else None
    since = seen or registered
    home.late_at = since + timedelta(seconds=3 * INTERVAL + 1) if seen is not None else registered
    home.lost_at = since + timedelta(seconds=288 * INTERVAL + 1)
    home.is_online = row["state"] == "active" and home.late_at > now
    if seen is not None and chance.random() < 0.02:
        row |= {"reboot_required": 1, "reboot_required_since": text(seen - timedelta(days=9) * chance.random())}


def _choose(chance: random.Random, weights: dict[Any, int]) -> Any:
    return chance.choices(list(weights), list(weights.values()))[0]
