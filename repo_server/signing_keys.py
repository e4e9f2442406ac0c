"""Until when the keys are good that devices trust: as the published keyring package says it in the signed lists.

What counts is what devices can have by now. A key that the builder has extended is not told of here before the package
that says so is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from repo_server import package_lists, times

AHEAD = timedelta(days=60)
"""How long before a key expires somebody is told."""
PACKAGE = "pi-ota-keyring"
ARCHIVE, BUILDER = "archive", "builder"
_FIELDS = {"Archive-Keys": ARCHIVE, "Builder-Keys": BUILDER}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of the newest keyring package of a suite."""

    role: str
    """``archive`` or ``builder``."""
    fingerprint: str
    expires: datetime | None
    """None where it never does."""


def published(repository: Path) -> list[SigningKey]:
    """The keys of the newest keyring package of every suite; of a key that several name, the earliest end."""
    found: dict[tuple[str, str], SigningKey] = {}
    for index in package_lists.indexes(repository):
        for key in _keys(package_lists.newest(index, PACKAGE)):
            other = found.get((key.role, key.fingerprint))
            found[key.role, key.fingerprint] = key if other is None else min(key, other, key=_end)
    return [found[place] for place in sorted(found)]


def _end(key: SigningKey) -> float:
    return key.expires.timestamp() if key.expires is not None else float("inf")


def _keys(fields: Mapping[str, str]) -> tuple[SigningKey, ...]:
    return tuple(key for field, role in _FIELDS.items() for key in _parsed(role, fields.get(field, "")))


def _parsed(role: str, line: str) -> Iterator[SigningKey]:
    """``FINGERPRINT 2031-11-24T00:00:00Z, FINGERPRINT never``; what is of another form is left out."""
    for part in line.split(","):
        fingerprint, _, until = part.strip().partition(" ")
        if until == "never":
            yield SigningKey(role, fingerprint, None)
            continue
        try:
            yield SigningKey(role, fingerprint, times.parse(until))
        except ValueError:
            continue
