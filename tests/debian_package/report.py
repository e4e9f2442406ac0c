"""One line for each suite and step, a table of them all at the end, and the same as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

_OK, _FAILED = "ok", "FAILED"


@dataclass(frozen=True, slots=True)
class Row:
    """One step in one suite; ``wrong`` is empty where it went well."""

    suite: str
    step: str
    wrong: tuple[str, ...]
    words: str
    seconds: float

    @property
    def result(self) -> str:
        """In a word."""
        return _FAILED if self.wrong else _OK


class Report:
    """Every step as it ends."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._began = time.monotonic()

    def add(self, suite: str, step: str, wrong: Sequence[str], words: str) -> None:
        """One step has ended; it took the time since the one before."""
        now = time.monotonic()
        row = Row(suite, step, tuple(wrong), words, round(now - self._began, 1))
        self._began = now
        self.rows.append(row)
        print(f"{suite:<10}{step:<23}{row.result:<8}{words}", flush=True)
        for sentence in row.wrong:
            print(f"{'':<33}{sentence}", flush=True)

    @contextmanager
    def step(self, suite: str, step: str) -> Iterator[list[str]]:
        """A step whose failure is an exception; the last of what is put into the list are its words."""
        words = [""]
        try:
            yield words
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            self.add(suite, step, [str(error)], "it could not be done")
            raise StepFailedError from error
        self.add(suite, step, [], words[-1])

    @property
    def failed(self) -> int:
        """How many steps did not go well."""
        return sum(bool(row.wrong) for row in self.rows)

    def write(self, file: Path) -> None:
        """All rows as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [{**asdict(row), "result": row.result} for row in self.rows]
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


class StepFailedError(Exception):
    """A step failed that all later ones of its suite need; it is in the report."""


def table(rows: Sequence[Row]) -> str:
    """A line for each step, a column for each suite, with the seconds that it took. Pure."""
    suites = list(dict.fromkeys(row.suite for row in rows))
    found = {(row.suite, row.step): row for row in rows}
    lines = [f"{'':<24}" + "".join(f"{suite:<18}" for suite in suites)]
    for step in dict.fromkeys(row.step for row in rows):
        cells = [found.get((suite, step)) for suite in suites]
        shown = [f"{row.result:<8}{row.seconds:>6.1f} s" if row else "not run" for row in cells]
        lines.append(f"{step:<24}" + "".join(f"{cell:<18}" for cell in shown))
    return "\n".join(line.rstrip() for line in lines)
