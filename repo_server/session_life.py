"""When a session ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

ACCURACY = timedelta(minutes=1)
"""How exactly it is known when a session was used last; a use is not written each time."""


@dataclass(frozen=True, slots=True)
class Life:
    """How long sessions last: without a use, and at most."""

    idle: timedelta
    most: timedelta


@dataclass(frozen=True, slots=True)
class Times:
    """What a session's end follows from."""

    created_at: datetime
    last_used_at: datetime
    key_expires_at: datetime | None = None
    """Of the API key that it stands for; None where the key has no end."""


def ends_at(times: Times, life: Life) -> datetime:
    """When it ends however much it is used."""
    end = times.created_at + life.most
    return end if times.key_expires_at is None else min(end, times.key_expires_at)


def lasts(times: Times, life: Life, now: datetime) -> bool:
    """Whether it still counts.

    One of the future does not, as long as the clock says so: the clock was wrong when it was used or is wrong now, and
    either way nobody knows how long it would last.
    """
    unused = now - times.last_used_at
    return now < ends_at(times, life) and -ACCURACY <= unused < life.idle


def is_a_new_use(times: Times, now: datetime) -> bool:
    """Whether a use at ``now`` is worth writing down."""
    return now - times.last_used_at >= ACCURACY
