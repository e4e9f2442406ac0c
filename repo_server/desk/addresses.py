"""Addresses of pages with parameters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode


def build(path: str, given: Mapping[str, object]) -> str:
    """``path`` with these parameters; None leaves one out."""
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return f"{path}?{query}" if query else path


def anew(path: str, given: Mapping[str, object], **changes: object) -> str:
    """A list with changed parameters, from its beginning: a cursor is of one list only, so it goes with any change."""
    return build(path, {**given, "cursor": None, **changes})
