"""Times as the wire and the database hold them: RFC 3339, UTC, whole seconds, ``Z``; so they sort as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def utc_now() -> datetime:
    """The server's clock; the only place in the server that reads it. Tests inject another."""
    return datetime.now(UTC)


def render(at: datetime) -> str:
    """``2026-03-29T01:30:00Z`` for an aware datetime."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse(text: str) -> datetime:
    """An aware UTC datetime from RFC 3339 text with a zone.

    Raises ``ValueError`` for anything else: a time without a zone means another instant on every machine.
    """
    if not _RFC3339.fullmatch(text):
        message = "must be an RFC 3339 time with a zone, such as 2026-03-29T01:30:00Z"
        raise ValueError(message)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:  # 0001-01-01T00:00:00+14:00 lies before the first representable instant
        raise ValueError(f"is out of range: {error}") from error


def parse_known(text: str | None) -> datetime | None:
    """``parse`` of a column that may be null."""
    return parse(text) if text is not None else None


def hour_of(at: datetime) -> int:
    """Whole hours since 1970."""
    return int(at.timestamp()) // 3_600
