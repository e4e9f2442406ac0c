"""The fleet over time, as charts show it: stacked series, and the same as a table. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from repo_server.answers import Fleet, FleetSample
from repo_server.times import hour_of
from repo_server.versions import version_key

NAMED = 7
"""Versions with a colour of their own; the others are one series."""
OTHERS = "others"
ROWS = 14
"""Of the table beside a chart."""
_ENOUGH = 3
"""Points from which on a line tells anything."""


@dataclass(frozen=True, slots=True)
class Period:
    """How far back a chart goes, and one sample of how many hours it shows."""

    word: str
    name: str
    length: timedelta
    every_hours: int


PERIODS = (
    Period("2d", "2 days", timedelta(days=2), 1),
    Period("2w", "2 weeks", timedelta(weeks=2), 2),
    Period("3m", "3 months", timedelta(days=91), 12),
    Period("1y", "1 year", timedelta(days=365), 48),
)
_USUAL = PERIODS[1]


def period(word: str | None) -> Period:
    """By its word in the address; the usual one for any other."""
    return next((one for one in PERIODS if one.word == word), _USUAL)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    name: str
    colour: str
    """The name of its colour in ``fleet.css``."""
    values: tuple[int | None, ...]
    """One for each of the chart's times; None where nothing is known."""

    @property
    def now(self) -> int:
        """The last of all."""
        return self.values[-1] or 0


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over time, the one at the bottom of the stack first; the last time is the present."""

    times: tuple[datetime, ...]
    series: tuple[Series, ...]

    @property
    def tells(self) -> bool:
        """Whether there is enough history for a line."""
        return sum(value is not None for value in self.series[0].values) >= _ENOUGH if self.series else False

    @property
    def data(self) -> dict[str, Any]:
        """For the script that draws it."""
        return {
            "times": [int(at.timestamp()) for at in self.times],
            "series": [
                {"name": one.name, "colour": one.colour, "values": list(one.values)} for one in reversed(self.series)
            ],
        }

    @property
    def rows(self) -> list[tuple[datetime, tuple[int, ...]]]:
        """A few of the times with all their values, evenly chosen, the newest first; in the order of ``series``."""
        known = [place for place, value in enumerate(self.series[0].values) if value is not None] if self.series else []
        last = len(known) - 1
        steps = min(ROWS, len(known))
        chosen = sorted({known[last - round(last * step / max(steps - 1, 1))] for step in range(steps)}, reverse=True)
        return [(self.times[place], tuple(one.values[place] or 0 for one in self.series)) for place in chosen]


@dataclass(frozen=True, slots=True)
class _Point:
    at: datetime
    known: Mapping[str, int] | None
    """None in a gap."""


def versions(samples: Sequence[FleetSample], fleet: Fleet, every_hours: int) -> Chart:
    """Which versions were active on how many devices, until now: those on most of them, the newest on top."""
    points = list(_points(samples, fleet, every_hours, _versions_of, fleet.versions))
    sums: Counter[str] = Counter()
    for point in points:
        sums.update(point.known or {})
    sums.pop(OTHERS, None)
    chosen = sorted(sorted(sums, key=lambda name: (-sums[name], name))[:NAMED], key=version_key)
    series = [
        Series(name, f"series-{place}", tuple(_value(point, name) for point in points))
        for place, name in enumerate(chosen, start=1)
    ]
    others = tuple(
        None if point.known is None else sum(point.known.values()) - sum(point.known.get(one, 0) for one in chosen)
        for point in points
    )
    if any(others):
        series.insert(0, Series(OTHERS, "series-others", others))
    return Chart(tuple(point.at for point in points), tuple(series))


def presence(samples: Sequence[FleetSample], fleet: Fleet, every_hours: int) -> Chart:
    """How many devices were online, late and lost, until now."""
    words = {"online": "ok", "late": "warn", "lost": "bad"}
    now = fleet.devices.model_dump(include=set(words))
    points = list(_points(samples, fleet, every_hours, lambda one: one.model_dump(include=set(words)), now))
    series = (Series(word, colour, tuple(_value(point, word) for point in points)) for word, colour in words.items())
    return Chart(tuple(point.at for point in points), tuple(series))


def _versions_of(sample: FleetSample) -> dict[str, int]:
    return {**sample.versions, OTHERS: sample.other_versions}


def _value(point: _Point, name: str) -> int | None:
    return None if point.known is None else point.known.get(name, 0)


def _points(
    samples: Sequence[FleetSample],
    fleet: Fleet,
    every_hours: int,
    counts: Callable[[FleetSample], Mapping[str, int]],
    now: Mapping[str, int],
) -> Iterator[_Point]:
    """The samples and the present, in order, with a gap wherever the server took no sample."""
    past = [(one.at, counts(one)) for one in samples if one.at < fleet.server_time]
    points = [*past, (fleet.server_time, now)]
    for (at, known), (following, _) in pairwise(points):
        yield _Point(at, known)
        if hour_of(following) // every_hours - hour_of(at) // every_hours > 1:
            yield _Point(at + (following - at) / 2, None)
    yield _Point(fleet.server_time, now)
