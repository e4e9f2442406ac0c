"""The releases of some months, and how far their rollouts are."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from repo_server import ids, waves
from repo_server.store import rollouts
from repo_server.waves import FailureLimit, Opening, Rollout
from tests.seeding.devices import ASSISTANT
from tests.seeding.rows import text

_DAY = timedelta(days=1)
_LIMIT = FailureLimit(percent=5, minimum=3)
CAREFUL = waves.parse("canary:1d,5%:1d,25%:36h,100%")
TARGETS = (("trixie", "arm64"), ("trixie", "armhf"), ("bookworm", "arm64"), ("bookworm", "armhf"))


@dataclass(frozen=True)
class Release:
    """One update: its row, and its rollout for the rules."""

    version: str
    channel: str
    rollout: Rollout
    row: dict[str, Any]

    @property
    def reach(self) -> waves.Reach:
        """Whom its open waves hold."""
        return self.rollout.reach


def published(chance: random.Random, now: datetime) -> list[Release]:
    """The oldest first: finished ones, a halted one, one in its third wave, and on beta one of each other state."""
    make = _Maker(chance, now)
    two_languages = "Try-out: answers in the language it is asked in"
    return [
        make.release("2.1.0", 64, "Hears its name while the radio is on", opened=(64, 63, 62, 60.5)),
        make.release("2.2.0", 36, "Timers can have names: «the noodles are ready»", opened=(36, 35, 34, 32.5)),
        make.release("2.2.1", 29, "Mends a crash when two alarms ring at once", opened=(29,), urgency="urgent"),
        make.release("2.4.0~rc1", 12, two_languages, opened=(12,), channel="beta", state="withdrawn"),
        make.release("2.3.0", 9, "Answers within half a second on a Pi 4", opened=(9, 8), state="halted", stopped=7.4),
        make.release("2.4.0~rc2", 6, f"{two_languages}, also on a Pi Zero 2", opened=(6,), channel="beta"),
        make.release(
            "2.3.1",
            3.2,
            "What 2.3.0 brought, and the microphone wakes up again after a restart",
            opened=(3.2, 2.2, 1.2),
        ),
        make.release(
            "2.4.0~rc3",
            0.3,
            "Try-out: <em>two</em> languages & «more» in one sentence",
            opened=(),
            channel="beta",
            state="paused",
            stopped=0.3,
        ),
    ]


@dataclass(frozen=True)
class _Maker:
    chance: random.Random
    now: datetime

    def release(
        self,
        version: str,
        days_ago: float,
        notes: str,
        *,
        opened: tuple[float, ...],
        channel: str = "stable",
        urgency: str = "scheduled",
        state: str = "active",
        stopped: float | None = None,
    ) -> Release:
        """Times are days before now. One wave that was open at once is all that there is."""
        announced = self.now - days_ago * _DAY
        times = tuple(self.now - one * _DAY for one in opened)
        rollout = Rollout(
            waves=waves.EVERYONE if len(opened) == 1 else CAREFUL,
            limit=_LIMIT,
            opening=Opening(times, times[-1] if times else None),
        )
        row = {
            "id": ids.uuid7(announced, self.chance.getrandbits),
            "name": ASSISTANT,
            "version": version,
            "channel": channel,
            "urgency": urgency,
            "notes": notes,
            "minimum_agent": None,
            "packages": _packages(version),
            "state": state,
            "announced_at": text(announced),
            "announced_by": "key:build machine",
            **rollouts.values(rollout),
            "stopped_at": text(self.now - stopped * _DAY) if stopped is not None else None,
            "halt_reason": None,  # follows from the outcomes
        }
        return Release(version, channel, rollout, row)


def _packages(version: str) -> str:
    """Its layers for each target; the wheels change with the second number only."""
    lock = hashlib.sha256(version.split("~", maxsplit=1)[0].rpartition(".")[0].encode()).hexdigest()[:12]
    names = {
        f"{ASSISTANT}-deps-{lock}": ("1", 61_384_120),
        f"{ASSISTANT}-app-{version.replace('~', '-')}": (version, 1_284_672),
        ASSISTANT: (version, 2_316),
    }
    listed = [
        {
            "package": package,
            "version": number,
            "debian": debian,
            "architecture": architecture,
            "size": size + len(debian),
            "sha256": hashlib.sha256(f"{package} {number} {debian} {architecture}".encode()).hexdigest(),
        }
        for package, (number, size) in names.items()
        for debian, architecture in TARGETS
    ]
    return json.dumps(sorted(listed, key=lambda one: json.dumps(one, sort_keys=True)), sort_keys=True)
