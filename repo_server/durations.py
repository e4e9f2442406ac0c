"""Lengths of time as people write them: ``30m``, ``12h``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse(text: str) -> timedelta:
    """Raises ``ValueError`` with a sentence."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 30m, 12h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def written(length: timedelta) -> str:
    """As ``parse`` reads it, in the largest unit in which it is whole; at least a second."""
    seconds = int(length.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"
