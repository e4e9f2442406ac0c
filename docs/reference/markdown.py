"""What the references are written with. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

BY_HAND = "<!-- Made from the code by `make docs`: what is changed here by hand is lost. -->"


def prose(text: str) -> str:
    """A docstring's text on one line: its double backquotes are one here, and its lines a paragraph."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))


def paragraphs(text: str) -> list[str]:
    """The same for a text of several paragraphs."""
    return [prose(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines; a bar in a cell is kept from ending it."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def code(text: object) -> str:
    """In backquotes."""
    return f"`{text}`"


def anchor(heading: str) -> str:
    """The address of a heading within its page, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def between(text: str, name: str, lines: Sequence[str]) -> str:
    """``text`` with ``lines`` between the marks of ``name``. Raises ``ValueError`` where the marks are not there."""
    begin, end = f"<!-- {name}: made from the code by `make docs` -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the marks {begin!r} and {end!r} are missing")
    return "\n".join([before + begin, *lines, end]) + after


def page(*parts: Iterable[str]) -> str:
    """A whole document: each part's lines, an empty line between parts."""
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"
