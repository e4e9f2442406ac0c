"""How far an update is, in the few parts that a person wants to know. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from repo_server.lifecycle import FINAL, STARTED, Status

WAITING, NEWER = "waiting", "newer"
"""Beside the statuses of device updates: nothing granted yet; has this version or a higher one by other means."""


class Part(StrEnum):
    """Every device is in one of them."""

    SUCCEEDED = "succeeded"
    NEWER = "newer"
    UNDER_WAY = "under-way"
    """At work on the release itself."""
    PREPARING = "preparing"
    """May install, and waits for its moment or downloads."""
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    WAITING = "waiting"
    """Nothing was granted to it yet."""


STATUSES: Mapping[Part, frozenset[str]] = {
    Part.SUCCEEDED: frozenset({Status.SUCCEEDED}),
    Part.NEWER: frozenset({NEWER}),
    Part.UNDER_WAY: STARTED,
    Part.PREPARING: frozenset(Status) - STARTED - FINAL,
    Part.ROLLED_BACK: frozenset({Status.ROLLED_BACK}),
    Part.FAILED: frozenset({Status.FAILED}),
    Part.WAITING: frozenset({WAITING}),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of devices."""

    parts: Mapping[Part, int]
    """Of every part, also where it is none."""
    stuck: int = 0
    """Of those that are under way."""

    def __getitem__(self, part: Part) -> int:
        return self.parts[part]

    @property
    def total(self) -> int:
        """Of all parts."""
        return sum(self.parts.values())

    @property
    def not_begun(self) -> int:
        """Devices that a pause, a halt or a withdrawal keeps from beginning."""
        return self[Part.WAITING] + self[Part.PREPARING]

    @property
    def have_it(self) -> int:
        """Devices with this version or a newer one."""
        return self[Part.SUCCEEDED] + self[Part.NEWER]

    @property
    def failures(self) -> int:
        """With a bad outcome."""
        return self[Part.FAILED] + self[Part.ROLLED_BACK]


def of(statuses: Mapping[str, int], stuck: int = 0) -> Standing:
    """From numbers by status, ``waiting`` and ``newer`` among them."""
    return Standing({part: sum(statuses.get(one, 0) for one in words) for part, words in STATUSES.items()}, stuck)


def recorded(statuses: Mapping[str, int], addressed: int, stuck: int = 0) -> Standing:
    """From numbers of devices that were granted it, where all others were not counted: these wait, as far as is known.

    ``addressed``: how many devices it is for. Some that were granted it may be none of them any more.
    """
    return of({**statuses, WAITING: max(addressed - sum(statuses.values()), 0)}, stuck)
