"""Stands in for the real one in the virtual Pi: all that gpiozero's MockFactory needs of it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any


def iter_entry_points(_group: str, _name: str) -> Iterator[Any]:
    """The one entry point that is asked for."""
    from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # noqa: PLC0415  # imports us

    yield SimpleNamespace(load=lambda: MockFactory)
