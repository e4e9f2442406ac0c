"""Counts by name, of which only the largest can be shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def biggest(counts: Mapping[str, int], most: int) -> tuple[dict[str, int], int]:
    """The ``most`` largest, the largest first and of equals by name, and how many the others are together."""
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return dict(ordered[:most]), sum(count for _, count in ordered[most:])
