"""Reading the agent's own JSON files: one that cannot be used is set aside, never lost and never in the way."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
_MOST_WHY = 200
"""Characters of the reason in the log: it may quote the file."""


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is no file, or it holds none (it is then set aside)."""
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        set_aside(path, str(error))
        return None
    if not isinstance(body, dict):
        set_aside(path, "it holds no object")
        return None
    return body


def set_aside(path: Path, why: str) -> None:
    """Rename an unusable file to ``NAME.unusable`` (the last one is kept) and say so."""
    aside = path.with_name(f"{path.name}.unusable")
    _log.error("%s cannot be used (%s); it is kept as %s and made anew", path, why[:_MOST_WHY], aside.name)
    try:
        path.replace(aside)
    except OSError as error:
        _log.error("%s cannot be set aside: %s", path, error)  # a trace says no more than the sentence
