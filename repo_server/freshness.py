"""How old the published repository's signatures are: what devices go by when they refuse a frozen mirror."""

from __future__ import annotations

import email.utils
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

REFUSED_AFTER = timedelta(days=7)
"""Devices refuse lists that were signed longer ago (``Valid-Until-Max`` in the apt source that their agent writes)."""
_MOST = 100
_HEAD_BYTES = 64 * 1024
"""The fields we look for come before the lists of hashes."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One ``InRelease`` of the published folder."""

    name: str
    """As in ``trixie/dists/stable``."""
    date: datetime | None
    """When it was signed; None where the file does not say so in a form that can be read."""
    valid_until: datetime | None
    """From when on apt refuses it, where the repository itself says so."""

    @property
    def debian(self) -> str:
        """The Debian release that it is for; "" where the repository is for one only."""
        return self.name.rpartition("dists/")[0].rstrip("/")

    @property
    def channel(self) -> str:
        """The channel that devices follow."""
        return self.name.rpartition("/")[2]

    @property
    def refused_from(self) -> datetime | None:
        """From when on devices refuse it, unless it is signed anew; None where it is not known when it was signed."""
        if self.date is None:
            return None
        longest = self.date + REFUSED_AFTER
        return longest if self.valid_until is None else min(longest, self.valid_until)


def suites(repository: Path) -> Iterator[Suite]:
    """Every suite under ``repository``, in order of their names; a file that vanishes meanwhile is left out."""
    for file in sorted(repository.glob("**/dists/*/InRelease"))[:_MOST]:
        try:
            with file.open("rb") as stream:
                head = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line and not line.startswith(" "))
        yield Suite(
            file.parent.relative_to(repository).as_posix(), _time(fields.get("Date")), _time(fields.get("Valid-Until"))
        )


def _time(text: str | None) -> datetime | None:
    """``Tue, 24 Nov 2026 20:00:00 UTC``, as Debian writes it."""
    if text is None:
        return None
    try:
        parsed = email.utils.parsedate_to_datetime(text.strip())
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
