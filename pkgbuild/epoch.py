"""The one time that everything in a package carries, so that the same input gives the same bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import run

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "SOURCE_DATE_EPOCH"
"""Seconds since 1970: the time in the packages of a release, instead of that of the payload's last commit."""
LAYER_EPOCH = 946_684_800
"""2000-01-01: a deps layer depends on its lock and its target only, so its time is always the same."""


def release_epoch(folder: Path) -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH, else the payload's last commit in git, else ``LAYER_EPOCH``."""
    if given := os.environ.get(VARIABLE):
        if not given.isdigit():
            raise PkgbuildError(
                Kind.BAD_INPUT, f"SOURCE_DATE_EPOCH is {given!r}: write seconds since 1970, or unset it."
            )
        return int(given)
    try:
        words = ["git", "-C", str(folder), "log", "-1", "--format=%ct", "--", "."]
        committed = run(words, doing="asking git for the last commit", timeout_seconds=30).strip()
    except PkgbuildError:  # no git, no repository
        committed = ""
    return int(committed) if committed else LAYER_EPOCH
