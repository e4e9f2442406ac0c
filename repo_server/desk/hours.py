"""Whether a home was in use, hour by hour, from what its heartbeats say of how long it was idle. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from repo_server.answers import Heartbeat

HOURS = 24
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour; ``used`` is None where nothing was heard that tells."""

    begins: datetime
    used: bool | None
    heartbeats: int


def by_hour(heartbeats: Iterable[Heartbeat], now: datetime) -> list[Hour]:
    """The last ``HOURS`` hours, the oldest first.

    A heartbeat with ``idle_seconds`` says that the last use was so long before it: that hour was one of use, and the
    hours between that one and the heartbeat were not.
    """
    first = now.replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * _HOUR
    used: dict[int, bool] = {}
    count = dict.fromkeys(range(HOURS), 0)
    for beat in heartbeats:
        place = (beat.received_at - first) // _HOUR
        if place in count:
            count[place] += 1
        if beat.idle_seconds is None:
            continue
        last = (beat.received_at - timedelta(seconds=beat.idle_seconds) - first) // _HOUR
        used[last] = True
        for between in range(max(last + 1, 0), min(place, HOURS - 1) + 1):
            used.setdefault(between, False)
    return [Hour(first + place * _HOUR, used.get(place), count[place]) for place in range(HOURS)]
