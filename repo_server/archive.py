"""The published repository: finds a file in aptly's public folder and says how long it may be kept.

aptly hard-links its pool into the public folder and uses symlinks inside it (by-hash). So symlinks are followed, and
what they lead to must lie inside the folder again; anything else is not there.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

_SIGNED = frozenset({"InRelease", "Release", "Release.gpg"})
_UNSETTLED_SECONDS = 2
FIRST_PACKAGES = ("pi-hook", "pi-ota-keyring")
"""What a Pi needs of the repository before it is a device: the agent, and the fleet's keys."""
_FOR_ENROLLING = re.compile(
    rf"[^/]+/(?:dists/.+|pool/[^/]+/p/(?P<name>{'|'.join(FIRST_PACKAGES)})/(?P=name)_[^/]+\.deb)"
)


def find(root: Path, name: str) -> Path | None:
    """The regular file that ``name`` means under ``root``, with all symlinks resolved; None where there is none.

    ``name`` comes from the client: ``..``, absolute paths, NUL bytes and backslashes are never followed.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} or "\0" in part or "\\" in part for part in parts):
        return None
    try:
        top = root.resolve(strict=True)
        found = top.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError):  # missing, not a folder on the way, name too long, a loop of symlinks
        return None
    return found if found.is_relative_to(top) and found.is_file() else None


def is_for_enrolling(name: str) -> bool:
    """Whether a Pi that is about to register may have this file: signed lists, and the two packages it needs first."""
    return _FOR_ENROLLING.fullmatch(name) is not None


def internal_address(prefix: str, root: Path, found: Path) -> str:
    """Where nginx has a file that ``find`` found under ``root``, which it serves under ``prefix``; percent-encoded."""
    return prefix + quote(found.relative_to(root.resolve()).as_posix())


def cache_control(name: str) -> str:
    """``Cache-Control`` for a file: what is named by its content never changes, what is signed anew is never kept."""
    if name.rsplit("/", maxsplit=1)[-1] in _SIGNED:
        return "no-store"
    if _never_changes(name):
        return "private, max-age=31536000, immutable"
    return "private, no-cache"


def unsettled(name: str, modified: float, now: float) -> bool:
    """Whether a file that was modified at ``modified`` may still change under the same date; seconds since the epoch.

    apt asks with ``If-Modified-Since``, which knows whole seconds only: a file that is published once more within the
    same second would be "not modified" for a device that came in between, until the next publishing (RFC 9110,
    8.8.2.2: such a date is a weak validator). So a file this young is always sent, and with an earlier date, so that
    the device asks for it once more.
    """
    return now - modified < _UNSETTLED_SECONDS and not _never_changes(name)


def _never_changes(name: str) -> bool:
    parts = name.split("/")
    return "by-hash" in parts or "pool" in parts
