"""What git knows of a payload: for the changelog, and for the notes where the builder gave none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pkgbuild.errors import PkgbuildError
from pkgbuild.process import run

if TYPE_CHECKING:
    from pathlib import Path

MOST_CHANGES = 30


def last_subject(folder: Path) -> str:
    """The first line of the last commit that changed the payload; empty where git knows of none."""
    return "".join(_log(folder, "-1"))


def changes(folder: Path) -> tuple[str, ...]:
    """The first lines of the commits that changed the payload since the last tag before this commit, newest first.

    At most 30; none without git or without such a tag.
    """
    tag = _git(folder, "describe", "--tags", "--abbrev=0", "HEAD^").strip()
    return tuple(_log(folder, f"--max-count={MOST_CHANGES}", f"{tag}..HEAD")) if tag else ()


def _log(folder: Path, *words: str) -> list[str]:
    text = _git(folder, "log", "--no-merges", "--format=%s", *words, "--", ".")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _git(folder: Path, *words: str) -> str:
    try:
        return run(["git", "-C", str(folder), *words], doing="asking git", timeout_seconds=30)
    except PkgbuildError:  # no git, no repository, no commit
        return ""
