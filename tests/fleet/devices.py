"""Simulated devices: what each says and does, told by its seed alone. Nothing here speaks HTTP.

A device is a small story: it waits a while (people use it), installs, and succeeds, or is one of the bad ones that a
bad release breaks: it goes back, fails, or never says a word again.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.support.fleet_bodies import heartbeat, registration, status

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "America/Sao_Paulo", "Africa/Nairobi")
OLD, BAD, GOOD = "1.0.0", "1.1.0", "1.1.1"
_MOST_PATIENCE = 3
"""Heartbeats for which somebody uses a device before it may install."""


class Fate(StrEnum):
    """What the bad release does to a device."""

    WELL = "well"
    GOES_BACK = "goes_back"
    FAILS = "fails"
    DIES = "dies"


_OUTCOME = {Fate.WELL: "succeeded", Fate.GOES_BACK: "rolled_back", Fate.FAILS: "failed"}


@dataclass
class Device:
    """One device; ``hear`` and ``next_statuses`` are one heartbeat's worth of its life."""

    id: str
    token: str
    zone: str
    fate: Fate
    patience: int
    installed: str = OLD
    active: str = OLD
    told: str = OLD
    """What it has told the server is active."""
    alive: bool = True
    sequence: int = 0
    offer: dict[str, Any] | None = None
    at: str | None = None
    """The status that it reported last in the update at work."""
    waits: int = 0
    withheld: str | None = None
    reached: dict[str, str] = field(default_factory=dict)
    """By version, the status that it reported last."""

    def registration(self) -> dict[str, Any]:
        """Its first words."""
        return registration(id=self.id, token=self.token, hostname=f"pi-{self.id[-6:]}", timezone=self.zone)

    def heartbeat(self, sent_at: str) -> dict[str, Any]:
        """What it says now."""
        self.told = self.active
        body = heartbeat(self.installed, self.active, sent_at=sent_at, timezone=self.zone)
        if self.at == "deferred":
            body["gate"] = {"decision": "defer", "reason": "RECENT_ACTIVITY"}
        if self.offer is not None and self.at is not None:
            body["update"] = {"id": self.offer["update_id"], "status": self.at}
        return body

    def hear(self, answer: dict[str, Any]) -> bool:
        """The heartbeat's answer; True where it brought an offer that is new to the device."""
        offer = answer["offer"]
        self.withheld = answer["withheld"]["reason"] if answer["withheld"] else None
        if self.at == "installing":
            return False  # it sees that through, whatever is said
        if offer is None:
            self.offer = self.at = None
            return False
        if self.offer is not None and offer["update_id"] == self.offer["update_id"]:
            return False
        self.offer, self.at, self.waits = offer, None, self.patience
        return True

    def next_statuses(self, at: str) -> list[dict[str, Any]]:
        """What it does until its next heartbeat, and so reports; changes the device accordingly."""
        if self.offer is None or not self.alive:
            return []
        if self.at == "installing":
            return self._end(at)
        words = [] if self.at is not None else ["refreshed", "downloading", "downloaded"]
        if self.waits > 0:
            self.waits -= 1
            return self._say(at, *words, "deferred") if self.at != "deferred" else []
        said = self._say(at, *words, "installing")
        if self.offer["version"] == BAD and self.fate is Fate.DIES:
            self.alive = False
        return said

    def _end(self, at: str) -> list[dict[str, Any]]:
        version = self.offer["version"] if self.offer is not None else ""
        outcome = _OUTCOME[self.fate if version == BAD else Fate.WELL]
        self.installed = version if outcome != "failed" else self.installed
        self.active = version if outcome == "succeeded" else self.active
        words = ("activating", "restarting", "verifying") if outcome != "failed" else ()
        said = self._say(at, *words, outcome)
        self.offer = self.at = None
        return said

    def _say(self, at: str, *words: str) -> list[dict[str, Any]]:
        assert self.offer is not None
        said = []
        for word in words:
            self.sequence += 1
            reason = "RECENT_ACTIVITY" if word == "deferred" else None
            said.append(status(self.sequence, word, self.offer["version"], at=at, reason=reason))
        self.at = self.reached[self.offer["version"]] = words[-1]
        return said


def fleet(size: int, bad_percent: float, seed: int) -> list[Device]:
    """The same devices for the same seed; ``bad_percent`` of them, rounded, are not well with the bad release."""
    chance = random.Random(seed)
    bad = set(chance.sample(range(size), round(size * bad_percent / 100)))
    fates = (Fate.GOES_BACK, Fate.FAILS, Fate.DIES)
    return [
        Device(
            id=_uuid7(seed, number),
            token=hashlib.sha256(f"token {seed} {number}".encode()).hexdigest(),
            zone=chance.choice(ZONES),
            fate=fates[number % 3] if number in bad else Fate.WELL,
            patience=chance.randrange(_MOST_PATIENCE + 1),
        )
        for number in range(size)
    ]


def _uuid7(seed: int, number: int) -> str:
    value = int.from_bytes(hashlib.sha256(f"device {seed} {number}".encode()).digest()[:16], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
