"""What the published repository's lists say of a package, as apt finds it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from repo_server import versions

_MOST_INDEXES = 200
_MOST_BYTES = 64 * 1024 * 1024


def indexes(repository: Path, debian: str = "**", channel: str = "*") -> Iterator[Path]:
    """The lists of packages: of every suite, or of one Debian release and channel."""
    yield from sorted(repository.glob(f"{debian}/dists/{channel}/*/binary-*/Packages"))[:_MOST_INDEXES]


def newest(index: Path, package: str) -> Mapping[str, str]:
    """The control fields of a package's newest version; none where the list does not have it, or is replaced now."""
    try:
        status = index.stat()
        return _newest(index, package, status.st_mtime_ns, status.st_size)
    except OSError:
        return {}  # it is being published anew


@lru_cache(maxsize=2 * _MOST_INDEXES)
def _newest(index: Path, package: str, _modified: int, size: int) -> Mapping[str, str]:
    """Read once for each state of the file: a list of a thousand releases has megabytes."""
    if size > _MOST_BYTES:
        return {}
    found: dict[str, str] = {}
    text = "\n" + index.read_text(encoding="utf-8", errors="replace")
    for stanza in text.split(f"\nPackage: {package}\n")[1:]:
        fields = dict(line.split(": ", 1) for line in stanza.split("\n\n", 1)[0].splitlines() if ": " in line)
        if "Version" in fields and (not found or versions.compare(fields["Version"], found["Version"]) > 0):
            found = fields
    return found
