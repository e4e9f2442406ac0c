"""Which package devices are upgraded from: the one before, as far as a clone's history tells it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild.versions import compare
from tests.support.agent_package import call_it

if TYPE_CHECKING:
    from pathlib import Path

_TOP = re.compile(r"pi-hook \(([^)]+)\)")
_CHANGELOG = "debian/changelog"
_ANY_OWNER = ("-c", "safe.directory=*")
"""Root runs this in the checkout of another user."""


@dataclass(frozen=True, slots=True)
class Previous:
    """A lower version and where its source comes from."""

    version: str
    commit: str
    words: str


def choose(checkout: Path, given: str | None = None) -> Previous:
    """The commit of ``given`` where there is one; else the last with a lower version in its changelog; else this one.

    A commit that does not call itself lower is called so. A clone may be shallow: then only this source is known.
    Raises ``ValueError`` where ``given`` names no commit that has the package.
    """
    current = version_of((checkout / _CHANGELOG).read_text(encoding="utf-8"))
    if given:
        return _lowered(checkout, given, current)
    for commit in _git(checkout, "log", "--format=%H", "HEAD", "--", _CHANGELOG).split():
        # The commit before the one that wrote a version's entry is the last of the version before.
        text = _git(checkout, "show", f"{commit}^:{_CHANGELOG}")
        if text and compare(version_of(text), current) < 0:
            before = _git(checkout, "rev-parse", "--short", f"{commit}^")
            return Previous(version_of(text), before, f"of commit {before}")
    return Previous(f"{current}~previous", "HEAD", "of this source, as no lower version is in this clone's history")


def unpack(checkout: Path, previous: Previous, folder: Path) -> None:
    """Put its source into ``folder``, which is made here."""
    folder.mkdir(parents=True)
    words = ["git", *_ANY_OWNER, "archive", previous.commit, "debian", "pi_hook"]
    archive = subprocess.run(words, cwd=checkout, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive, check=True)
    call_it(previous.version, folder)


def version_of(changelog: str) -> str:
    """The version of a changelog's first entry. Raises ``ValueError`` where it has none of pi-hook."""
    found = _TOP.match(changelog)
    if found is None:
        raise ValueError(f"debian/changelog begins with {changelog[:40]!r}, and not with an entry of pi-hook")
    return found[1]


def _lowered(checkout: Path, given: str, current: str) -> Previous:
    text = _git(checkout, "show", f"{given}:{_CHANGELOG}")
    if not text:
        raise ValueError(f"PREVIOUS={given} is no commit of this clone that has {_CHANGELOG}")
    short = _git(checkout, "rev-parse", "--short", f"{given}^{{commit}}")
    own = version_of(text)
    lower = own if compare(own, current) < 0 else f"{current}~{short}"
    return Previous(lower, short, f"of commit {short}")


def _git(checkout: Path, *words: str) -> str:
    """What git answers; empty where it does not know."""
    done = subprocess.run(["git", *_ANY_OWNER, *words], cwd=checkout, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
