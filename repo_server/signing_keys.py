"""Until when the keys are good that devices trust: as the published keyring package says it in the signed lists.

What counts is what devices can have by now. A key that the builder has extended is not told of here before the package
that says so is published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from repo_server import times, versions

AHEAD = timedelta(days=60)
"""How long before a key expires somebody is told."""
PACKAGE = "pi-ota-keyring"
ARCHIVE, BUILDER = "archive", "builder"
_FIELDS = {"Archive-Keys": ARCHIVE, "Builder-Keys": BUILDER}
_MOST_INDEXES = 200
_MOST_BYTES = 64 * 1024 * 1024


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
    for index in sorted(repository.glob("**/dists/*/*/binary-*/Packages"))[:_MOST_INDEXES]:
        try:
            status = index.stat()
            keys = _keys(index, status.st_mtime_ns, status.st_size)
        except OSError:
            continue  # it is being published anew
        for key in keys:
            other = found.get((key.role, key.fingerprint))
            found[key.role, key.fingerprint] = key if other is None else min(key, other, key=_end)
    return [found[place] for place in sorted(found)]


def _end(key: SigningKey) -> float:
    return key.expires.timestamp() if key.expires is not None else float("inf")


@lru_cache(maxsize=_MOST_INDEXES)
def _keys(index: Path, _modified: int, size: int) -> tuple[SigningKey, ...]:
    """Read once for each state of the file: a list of a thousand releases has megabytes."""
    if size > _MOST_BYTES:
        return ()
    newest: dict[str, str] = {}
    text = "\n" + index.read_text(encoding="utf-8", errors="replace")
    for stanza in text.split(f"\nPackage: {PACKAGE}\n")[1:]:
        fields = dict(line.split(": ", 1) for line in stanza.split("\n\n", 1)[0].splitlines() if ": " in line)
        if "Version" in fields and (not newest or versions.compare(fields["Version"], newest["Version"]) > 0):
            newest = fields
    return tuple(key for field, role in _FIELDS.items() for key in _parsed(role, newest.get(field, "")))


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
