"""Waves: who gets an update when, and when a rollout has to stop. Pure.

A rollout is a list of waves. The first may be a group (the canaries); the others are percentages of the devices on the
channel, each larger than the one before, and the last is 100. A wave holds everybody of the waves before it, so
membership only ever grows. Which devices a percentage means follows from the update's and the device's ids alone: it
can be listed in advance, is the same on every server, and falls on other homes with every release.

A wave opens the next one once its dwell time is over. At most one opens at a time, and its own dwell time counts from
that moment: a server that was away does not open several at once.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from repo_server import durations

_ALL = 100.0


@dataclass(frozen=True, slots=True)
class Wave:
    """Either a group's devices or a percentage of all."""

    percent: float | None = None
    """Above 0, at most 100."""
    group: str | None = None
    dwell: timedelta | None = None
    """How long until the next wave opens; None for the last, which nothing follows."""


EVERYONE = (Wave(percent=_ALL),)


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom the open waves hold."""

    percent: float = _ALL
    group: str | None = None

    def includes(self, update_id: str, device_id: str, group: str | None) -> bool:
        """Whether this device is among them."""
        if group is not None and group == self.group:
            return True
        return self.percent >= _ALL or position(update_id, device_id) * 100 < self.percent


EVERYBODY = Reach()


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """How many failures halt a rollout: a share of the finished devices, or an absolute number; either suffices."""

    percent: float | None = None
    """Of the devices that have an outcome; one that fell silent while installing counts as failed."""
    minimum: int = 1
    """So many failures at least before the share counts: one of the first two is no 50 percent."""
    count: int | None = None

    def reached(self, failures: int, finished: int) -> bool:
        """``finished`` holds the failures too."""
        if self.count is not None and failures >= self.count:
            return True
        return self.percent is not None and failures >= self.minimum and failures * 100 >= self.percent * finished


@dataclass(frozen=True, slots=True)
class Opening:
    """Which waves are open: an instant for each, in order."""

    opened: tuple[datetime, ...] = ()
    """Empty before the rollout begins."""
    dwell_from: datetime | None = None
    """From when the newest wave's dwell time counts: its opening, put off by the pauses since."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many devices have an outcome, and how many of them a bad one."""

    failures: int = 0
    finished: int = 0


@dataclass(frozen=True, slots=True)
class Rollout:
    """One update's rollout."""

    waves: tuple[Wave, ...] = EVERYONE
    limit: FailureLimit | None = None
    opening: Opening = field(default_factory=Opening)
    accepted: Outcomes = field(default_factory=Outcomes)
    """What a person knew of when resuming after a halt; only what has come since counts against the limit."""
    expedited: bool = False
    """Waves no longer count."""

    @property
    def reach(self) -> Reach:
        """Whom the open waves hold."""
        return reach(self.waves, len(self.opening.opened))


def parse(text: str) -> tuple[Wave, ...]:
    """Waves as people write them: ``canary:1d,5%:1d,25%:12h,100%``.

    Raises ``ValueError`` with a sentence.
    """
    waves = []
    for part in text.split(","):
        name, _, dwell = part.strip().partition(":")
        percent = None
        if name.endswith("%"):
            try:
                percent = float(name[:-1])
            except ValueError:
                raise ValueError(f"{name!r} is not a percentage such as 5%") from None
        waves.append(Wave(percent, name if percent is None else None, durations.parse(dwell) if dwell else None))
    wrong = problem(waves)
    if wrong is not None:
        raise ValueError(f"{wrong}; write waves as canary:1d,5%:1d,100%")
    return tuple(waves)


def written(waves: Sequence[Wave]) -> str:
    """As ``parse`` reads them."""
    return ", ".join(
        named(wave) + (f":{durations.written(wave.dwell)}" if wave.dwell is not None else "") for wave in waves
    )


def named(wave: Wave) -> str:
    """Whom a wave is for: ``canary``, ``5%``."""
    if wave.percent is None:
        return str(wave.group)
    percent = float(wave.percent)
    return f"{int(percent) if percent.is_integer() else repr(percent)}%"


def position(update_id: str, device_id: str) -> float:
    """Where a device stands in an update's rollout, evenly spread over ``[0, 1)``."""
    digest = hashlib.sha256(f"{update_id}:{device_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def reach(waves: Sequence[Wave], opened: int) -> Reach:
    """Whom the first ``opened`` waves hold."""
    group = next((wave.group for wave in waves[:opened] if wave.group is not None), None)
    percent = max((wave.percent for wave in waves[:opened] if wave.percent is not None), default=0.0)
    return Reach(percent, group)


def wave_of(waves: Sequence[Wave], update_id: str, device_id: str, group: str | None) -> int:
    """The index of the first wave that holds the device; the last one holds every device."""
    return placing(waves, update_id)(device_id, group)


def placing(waves: Sequence[Wave], update_id: str) -> Callable[[str, str | None], int]:
    """``wave_of`` for many devices of one update, by id and group."""
    first = waves[0].group
    bounds = [reach(waves, opened).percent for opened in range(1, len(waves))]

    def place(device_id: str, group: str | None) -> int:
        if first is not None and group == first:
            return 0
        return bisect.bisect_right(bounds, position(update_id, device_id) * _ALL)

    return place


def problem(waves: Sequence[Wave]) -> str | None:
    """What is wrong with a list of waves, as a sentence; None where nothing is."""
    percents = [wave.percent for wave in waves if wave.percent is not None]
    wrong = (
        (not waves, "name at least one wave"),
        (any(bool(wave.group) is (wave.percent is not None) for wave in waves), "a wave is a group or a percentage"),
        (any(wave.group is not None for wave in waves[1:]), "only the first wave can be a group"),
        (not all(0 < percent <= _ALL for percent in percents), "a percentage is above 0 and at most 100"),
        (
            any(later <= earlier for earlier, later in itertools.pairwise(percents)),
            "each percentage must be larger than the one before",
        ),
        (
            percents[-1:] != [_ALL],
            "the last wave must be 100 percent; pause the update where it should go no further",
        ),
        (any(wave.dwell is None for wave in waves[:-1]), "each wave but the last needs a dwell time"),
        (any(wave.dwell is not None for wave in waves[-1:]), "nothing follows the last wave: it has no dwell time"),
    )
    return next((sentence for holds, sentence in wrong if holds), None)


def next_at(rollout: Rollout) -> datetime | None:
    """When the next wave is due; None where all are open, none is yet, or waves do not count."""
    opening = rollout.opening
    if rollout.expedited or opening.dwell_from is None or len(opening.opened) >= len(rollout.waves):
        return None
    return opening.dwell_from + (rollout.waves[len(opening.opened) - 1].dwell or timedelta(0))


def begin(now: datetime) -> Opening:
    """The first wave opens."""
    return Opening((now,), now)


def advance(rollout: Rollout, now: datetime) -> Opening:
    """Open the next wave, if it is due. The caller sees to it that the update is active and below its limit."""
    due = next_at(rollout)
    if due is None or now < due:
        return rollout.opening
    return Opening((*rollout.opening.opened, now), now)


def go_on(opening: Opening, stopped_at: datetime | None, now: datetime) -> Opening:
    """After a pause or a halt: the time in which nobody was given the update is no dwell time."""
    if opening.dwell_from is None:
        return begin(now)
    waited = max(now - stopped_at, timedelta(0)) if stopped_at is not None else timedelta(0)
    return Opening(opening.opened, opening.dwell_from + waited)


def verdict(rollout: Rollout, outcomes: Outcomes) -> str | None:
    """Why the rollout has to halt, as a sentence; None where it may go on."""
    failures = max(outcomes.failures - rollout.accepted.failures, 0)
    finished = max(outcomes.finished - rollout.accepted.finished, failures)
    if rollout.limit is None or failures == 0 or not rollout.limit.reached(failures, finished):
        return None
    since = " since it was resumed" if rollout.accepted.finished or rollout.accepted.failures else ""
    return f"{failures} of {finished} devices that have an outcome{since} failed ({failures / finished:.1%})"


def failures_left(limit: FailureLimit, failures: int, finished: int) -> int | None:
    """After how many more failures, with no success between them, the limit is reached; None: no number of them does.

    0 where it is reached already. ``finished`` holds the failures too.
    """
    if limit.reached(failures, finished):
        return 0
    ways = [limit.count - failures] if limit.count is not None else []
    if limit.percent is not None and limit.percent < _ALL:
        # Searched for and not computed: ``reached`` rounds, and has the last word.
        below, more = 0, 1
        while not limit.reached(failures + more, finished + more):
            below, more = more, 2 * more
        while more - below > 1:
            middle = (below + more) // 2
            reached = limit.reached(failures + middle, finished + middle)
            below, more = (below, middle) if reached else (middle, more)
        ways.append(more)
    elif limit.percent is not None and failures == finished:
        ways.append(max(limit.minimum - failures, 1))
    return min(ways, default=None)


def keeps_open(before: Rollout, waves: Sequence[Wave]) -> bool:
    """Whether new waves leave those that are open as they are: nobody who could install is put back into the queue."""
    opened = len(before.opening.opened)
    named = [(wave.group, wave.percent) for wave in before.waves[:opened]]
    return [(wave.group, wave.percent) for wave in waves[:opened]] == named
