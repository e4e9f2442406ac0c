"""Scripts, styles and pictures: each has its content's hash in its address, so that a browser may keep it for good."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
ADDRESS = "/static"


def url(name: str) -> str:
    """Where a file of ``static`` is. Raises ``FileNotFoundError``: a template names something that is not there."""
    return f"{ADDRESS}/{name}?v={_digest(name)}"


@functools.cache
def _digest(name: str) -> str:
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
