"""What a Pi that is not a device yet gets from this server: the script that puts the agent on it, and the archive key.

No secret is in either of them. The agent and the fleet's keys as packages are in the repository: see ``auth``.
"""

from __future__ import annotations

from functools import cmp_to_key, lru_cache
from pathlib import Path

from debian.debfile import DebError, DebFile

from repo_server import archive, package_lists, signing_keys, versions

SCRIPT = "/onboarding/pi.sh"
KEYRING = "/onboarding/archive-keyring.gpg"
PUBLISHED_BY = (
    "`make release-agent` in the builder's checkout publishes the agent, and the fleet's keys (`pkgbuild keys publish`)"
)
_SCRIPT_FILE = Path(__file__).with_name("pi.sh")
_SERVER = "@SERVER@"
_INSIDE = "./usr/share/keyrings/pi-ota-archive-keyring.gpg"


def script(server: str) -> str:
    """The script for Pis of the server at this address, which must have been looked at: it stands in single quotes."""
    return _SCRIPT_FILE.read_text(encoding="utf-8").replace(_SERVER, server, 1)


def missing(repository: Path, debian: str, channel: str) -> list[str]:
    """Which of the packages that a new Pi needs first are not published for it."""
    found = list(package_lists.indexes(repository, debian, channel))
    return [
        package for package in archive.FIRST_PACKAGES if not any(package_lists.newest(one, package) for one in found)
    ]


def keyring(repository: Path) -> bytes | None:
    """The public archive keys, as the newest published keyring package holds them; None before one is published."""
    found: list[tuple[str, Path]] = []
    for index in package_lists.indexes(repository):
        fields = package_lists.newest(index, signing_keys.PACKAGE)
        if "Filename" in fields:
            root = index.relative_to(repository).as_posix().partition("dists/")[0]
            if (deb := archive.find(repository, root + fields["Filename"])) is not None:
                found.append((fields["Version"], deb))
    if not found:
        return None
    _, deb = max(found, key=lambda one: cmp_to_key(versions.compare)(one[0]))
    return _inside(deb, deb.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _inside(deb: Path, _modified: int) -> bytes | None:
    try:
        with DebFile(str(deb)) as opened:
            content = opened.data.get_content(_INSIDE)
    except (DebError, OSError, KeyError):
        return None
    return content if isinstance(content, bytes) else None
