"""A server clock that stands in a file, for rehearsals in compressed time: ``tests/fleet`` tells days in seconds.

Only by an environment variable that no setting and no unit of ours names; the server says so in its log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from repo_server import times

VARIABLE = "PI_OTA_DEVELOPMENT_CLOCK"
"""For rehearsals: a file that holds an RFC 3339 time, which is the server's clock. Replace it by renaming."""

_log = logging.getLogger(__name__)


def clock(environ: Mapping[str, str]) -> Callable[[], datetime]:
    """The real clock, or the one in the file that ``VARIABLE`` names."""
    name = environ.get(VARIABLE)
    if not name:
        return times.utc_now
    file = Path(name)
    _log.warning("the clock is the time written in %s (%s): for development only", file, VARIABLE)
    return lambda: times.parse(file.read_text(encoding="ascii").strip())
