"""Lengths of time and moments as people say them, in English and in the device's own zone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_THIS_WEEK = 7
_TOMORROW = 1


def length(seconds: float) -> str:
    """Two units at most, the smaller one only where it says something: ``1 h 5 min``, ``50 s``, ``8 d``."""
    left = max(0, int(seconds))
    for index, (unit, size) in enumerate(_UNITS):
        if left >= size:
            words = f"{left // size} {unit}"
            for smaller, less in _UNITS[index + 1 : index + 2]:
                if left % size >= less:
                    words += f" {left % size // less} {smaller}"
            return words
    return "0 s"


def moment(instant: datetime, now: datetime, zone: tzinfo) -> str:
    """``today at 14:01``, ``tomorrow at 02:13``, ``on Friday at 02:13``, ``on 2026-05-01 at 02:13``. Aware times."""
    there, here = instant.astimezone(zone), now.astimezone(zone)
    days = (there.date() - here.date()).days
    if days == 0:
        day = "today"
    elif days == _TOMORROW:
        day = "tomorrow"
    elif days == -_TOMORROW:
        day = "yesterday"
    elif 0 < days < _THIS_WEEK:
        day = f"on {there:%A}"
    else:
        day = f"on {there:%Y-%m-%d}"
    return f"{day} at {there:%H:%M}"
