"""docs/BAD_INPUT.md as data: its rows, and how a case claims one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.pi_hook_hands.conftest import Programs, SmallRoot

PAGE = Path(__file__).parents[3] / "docs" / "BAD_INPUT.md"


@dataclass(frozen=True)
class Row:
    """One line of a table of the page."""

    section: str
    given: str
    """The first cell, which names the input."""
    does: str
    says: str
    """The last cell: the sentence, with ``…`` where it differs from case to case."""

    def matches(self, said: str) -> bool:
        """Whether what was really said holds the sentence."""
        parts = [re.escape(part) for part in self.says.strip("`").split("…")]
        return re.search(".*?".join(parts), said, re.DOTALL) is not None


@dataclass(frozen=True)
class Place:
    """Where a case may work."""

    folder: Path
    small: SmallRoot
    programs: Programs
    monkeypatch: pytest.MonkeyPatch
    caplog: pytest.LogCaptureFixture
    capsys: pytest.CaptureFixture[str]


Case = Callable[[Place], str]
"""Gives the input, checks what the agent does with it, and returns what it said."""


def rows() -> Iterator[Row]:
    """The rows of the page's tables."""
    section, heading = "", False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        if not line.startswith("|"):
            heading = True
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if heading or set(line) <= set("|- "):
            heading = False
            continue
        assert len(cells) == 3, f"{PAGE.name}: a row needs three cells: {line}"
        yield Row(section, *cells)


class Cases(dict[str, Case]):
    """The cases of one section, by the first cell of their rows."""

    def __call__(self, given: str) -> Callable[[Case], Case]:
        def claim(case: Case) -> Case:
            assert given not in self, f"two cases for {given!r}"
            self[given] = case
            return case

        return claim
