"""How numbers, sizes and times are written on the pages. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from babel.dates import format_datetime
from babel.numbers import format_decimal
from babel.units import format_unit
from flask import Flask

from repo_server import times

_LOCALE = "en"
_STEP = 1000
_SIZES = ("byte", "kilobyte", "megabyte", "gigabyte")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def install(app: Flask) -> None:
    """Make them the templates' filters."""
    for function in (number, size, duration, moment, iso, capital):
        app.add_template_filter(function, function.__name__)
    app.add_template_filter(times.parse, "instant")  # from the text that the database holds


def number(value: float) -> str:
    """``12,345``."""
    return format_decimal(value, locale=_LOCALE)


def size(count: int) -> str:
    """Bytes in units of 1,000: ``84.9 kB``."""
    step = 0 if count < _STEP else min(int(math.log(count, _STEP)), len(_SIZES) - 1)
    rounded = round(count / _STEP**step, 1 if step else 0)
    if rounded >= _STEP and step + 1 < len(_SIZES):  # 999,960 bytes are 1 MB, not 1,000 kB
        step, rounded = step + 1, rounded / _STEP
    return format_unit(rounded, _SIZES[step], length="short", locale=_LOCALE)


def duration(length: timedelta | float) -> str:
    """The two largest units, rounded down: ``3 h 12 min``; ``length`` in seconds where it is a number."""
    left = int(abs(length.total_seconds() if isinstance(length, timedelta) else length))
    for place, (unit, seconds) in enumerate(_UNITS):
        if left >= seconds:
            whole, rest = divmod(left, seconds)
            below = _UNITS[place + 1] if place + 1 < len(_UNITS) else None
            part = rest // below[1] if below is not None else 0
            return f"{whole} {unit} {part} {below[0]}" if below is not None and part else f"{whole} {unit}"
    return "0 s"


def moment(at: datetime) -> str:
    """``25 Nov 2026, 02:00 UTC``."""
    return format_datetime(at.astimezone(UTC), "d MMM y, HH:mm 'UTC'", locale=_LOCALE)


def iso(at: datetime) -> str:
    """For programs: ``2026-11-25T02:00:00Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def capital(text: str) -> str:
    """As the beginning of a sentence; the rest stays as it is."""
    return text[:1].upper() + text[1:]
