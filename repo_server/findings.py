"""What a look at the server has found: how bad it is, in words, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found; ``mend`` is what puts it right, where there is something to do."""

    check: str
    level: Level
    words: str
    mend: str | None = None
