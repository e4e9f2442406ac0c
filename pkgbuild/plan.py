"""What a release would do, for ``--dry-run``: what is uploaded, and what each device would download. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pkgbuild.progress import human_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgbuild.build import TargetPackages
    from pkgbuild.targets import Target


@dataclass(frozen=True, slots=True)
class Starting:
    """What devices of one target may come from."""

    target: Target
    version: str | None
    """None: a first installation."""
    have: frozenset[str] | None
    """SHA-256 of the packages of that version; None where it is not in the repository any more."""
    devices: int | None = None
    """How many have it; None where no server says so."""


def plan(update: dict[str, Any], packages: Sequence[TargetPackages], starting: Sequence[Starting]) -> dict[str, Any]:
    """As ``pkgbuild release --dry-run --json`` prints it; ``update`` is what would be announced."""
    new = {deb.sha256 for one in packages for deb in one.built}
    return {
        **{key: update[key] for key in ("name", "version", "channel", "urgency", "notes")},
        "dry_run": True,
        "packages": [{**row, "new": row["sha256"] in new} for row in update["packages"]],
        "upload_bytes": sum(deb.size for one in packages for deb in one.built),
        "downloads": [_download(one, start) for one in packages for start in starting if start.target == one.target],
    }


def _download(packages: TargetPackages, start: Starting) -> dict[str, Any]:
    fetched = [one for one in packages.packages if one.sha256 not in (start.have or ())]
    return {
        "debian": start.target.debian,
        "architecture": start.target.architecture,
        "from": start.version,
        "devices": start.devices,
        "bytes": sum(one.size for one in fetched),
        "at_most": start.version is not None and start.have is None,
        "packages": [one.package for one in fetched],
    }


def words(planned: dict[str, Any]) -> list[str]:
    """The plan for people, a line each."""
    lines = [
        f"{planned['name']} {planned['version']} ({planned['urgency']}) would be published on {planned['channel']}"
    ]
    for row in planned["packages"]:
        target = f"{row['debian']}/{row['architecture']}"
        what = "new" if row["new"] else "already in the repository"
        lines.append(f"  {target:<16} {human_size(row['size']):>9}  {row['package']} ({what})")
    lines.append(f"  uploaded: {human_size(planned['upload_bytes'])}")
    for row in planned["downloads"]:
        who = f"devices with {row['from']}" if row["from"] else "a first installation"
        if row["devices"] is not None:
            who = f"{row['devices']} {who}"
        limit = "at most " if row["at_most"] else ""
        size = human_size(row["bytes"])
        lines.append(f"  {row['debian']}/{row['architecture']}: {who}: {limit}{size} downloaded")
    return lines
