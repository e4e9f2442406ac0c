"""What lintian, piuparts and autopkgtest printed, as values. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_TAG = re.compile(r"([EWIPXCOM]): (\S+(?: source| changes| buildinfo)?): (\S+)(.*)")
_LEVELS = {"E": "errors", "W": "warnings", "I": "infos", "P": "pedantic", "O": "overridden"}
_SUMMARY = re.compile(r"(\S+)\s+(PASS|FAIL|SKIP|FLAKY)(?:\s+(.*))?")
_PIUPARTS = re.compile(r"(?:\d+m[\d.]+s )?ERROR: (FAIL: .*)")


@dataclass(frozen=True, slots=True)
class Tag:
    """One finding of lintian."""

    level: str
    package: str
    name: str
    details: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test of an autopkgtest run; ``details`` is why it was skipped or failed."""

    name: str
    result: str
    details: str


def lintian(printed: str) -> list[Tag]:
    """Its findings, those of ``--show-overrides`` too. Raises ``ValueError`` at a line that is of no known form."""
    found = []
    for line in printed.splitlines():
        if not line.strip() or line.startswith("N:"):
            continue
        match = _TAG.fullmatch(line)
        if match is None:
            raise ValueError(f"lintian said {line!r}, which is no finding")
        level, package, name, details = match.groups()
        found.append(Tag(level, package, name, details.strip()))
    return found


def counted(tags: list[Tag]) -> str:
    """How many of each level, in words; levels that fail the check are always named."""
    count = Counter(tag.level for tag in tags)
    return ", ".join(f"{count[level]} {words}" for level, words in _LEVELS.items() if count[level] or level in "EW")


def unreviewed(tags: list[Tag]) -> list[str]:
    """A sentence for each finding that nobody has overridden with a reason."""
    return [f"{tag.level}: {tag.package}: {tag.name} {tag.details}".strip() for tag in tags if tag.level in "EWIP"]


def autopkgtest(summary: str) -> list[Outcome]:
    """The tests of a ``--summary-file``. Raises ``ValueError`` where it is of another form or names no test."""
    found = []
    for line in summary.splitlines():
        match = _SUMMARY.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"autopkgtest's summary has the line {line!r}")
        found.append(Outcome(match[1], match[2], match[3] or ""))
    if not found:
        raise ValueError("autopkgtest's summary is empty")
    return found


def piuparts(printed: str) -> list[str]:
    """What it found wrong, each with the paths that it names below."""
    found, within = [], False
    for line in printed.splitlines():
        if match := _PIUPARTS.match(line):
            found.append(match[1])
        elif within and line.startswith("  "):
            found.append(line.strip())
            continue
        within = match is not None
    return found
