"""Figures: lines ``RESULT name value unit`` as they come, their limits, and all of them as JSON at the end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; ``limit`` is the most it may be, ``least`` the least, ``beside`` what to compare it with."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    beside: str = ""
    least: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the limits, where there are any, are kept."""
        return (self.limit is None or self.value <= self.limit) and (self.least is None or self.value >= self.least)

    def lines(self) -> list[str]:
        """For people and for programs."""
        lines = [f"RESULT {self.name} {self.value:.10g} {self.unit}"]
        if self.limit is not None:
            lines.append(f"  {'ok' if self.ok else 'over':5} {self.name}: at most {self.limit:.10g} {self.unit}")
        if self.least is not None:
            lines.append(f"  {'ok' if self.ok else 'under':5} {self.name}: at least {self.least:.10g} {self.unit}")
        if self.beside:
            lines.append(f"        ({self.beside})")
        return lines


class Figures:
    """Prints each figure when it is known."""

    def __init__(self) -> None:
        self.all: list[Figure] = []

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        limit: float | None = None,
        least: float | None = None,
        beside: str = "",
    ) -> None:
        """Print and keep one."""
        self.all.append(Figure(name, value, unit, limit, beside, least))
        print("\n".join(self.all[-1].lines()), flush=True)

    def write(self, file: Path) -> None:
        """All of them as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        content = [{**asdict(figure), "ok": figure.ok} for figure in self.all]
        file.write_text(json.dumps({"figures": content}, indent=2) + "\n", encoding="utf-8")

    @property
    def status(self) -> int:
        """For ``sys.exit``: 1 where a limit is not kept."""
        return 0 if all(figure.ok for figure in self.all) else 1
