"""Bars of shares, as SVG without a style. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 1000
LEAST = 6
"""What is there can be seen, however few of how many it is."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar."""

    word: str
    """A class of the style sheet."""
    text: str
    """After the number, in the legend."""
    count: int
    x: float
    width: float


def bar(parts: Iterable[tuple[str, str, int]]) -> list[Segment]:
    """The parts that are not empty (word, text, count) side by side over ``WIDTH``; empty where all are."""
    there = [part for part in parts if part[2] > 0]
    total = sum(count for _, _, count in there)
    widths = [max(WIDTH * count / total, LEAST) for _, _, count in there]
    scale = WIDTH / sum(widths) if widths else 1.0
    segments, x = [], 0.0
    for (word, text, count), width in zip(there, widths, strict=True):
        segments.append(Segment(word, text, count, round(x, 2), round(width * scale, 2)))
        x += width * scale
    return segments
