"""What differs between two releases: files, wheels, sizes, and what a device downloads to get from one to the other."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any

from debian.debfile import DebError, DebFile

from pkgbuild import published_files, versions
from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from pathlib import Path

    from pkgbuild.aptly import Listed
    from pkgbuild.catalogue import PublishedRelease
    from pkgbuild.config import Settings

_ABOUT_THE_PACKAGE = ("usr/share/doc/", "usr/share/lintian/")
_CONTAINS = "Contains:"


def wheels(packages: dict[str, Listed]) -> dict[str, str]:
    """Name and version of every wheel in a release's deps layers, as the packages' descriptions list them."""
    found: dict[str, str] = {}
    for one in packages.values():
        lines = [line.strip() for line in one.fields.get("Description", "").splitlines()]
        if _CONTAINS in lines:
            pairs = (line.split(" ", 1) for line in lines[lines.index(_CONTAINS) + 1 :] if " " in line)
            found.update((name, version) for name, version in pairs)
    return found


def download(before: dict[str, Listed] | None, after: dict[str, Listed]) -> list[Listed]:
    """The packages that a device fetches to get from one release (None: from nothing) to another."""
    have = {one.sha256 for one in (before or {}).values()}
    return [one for one in after.values() if one.sha256 not in have]


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What was added, removed and changed between two mappings; ``changed`` holds pairs."""
    return {
        "added": {key: after[key] for key in sorted(after.keys() - before.keys())},
        "removed": {key: before[key] for key in sorted(before.keys() - after.keys())},
        "changed": {
            key: [before[key], after[key]] for key in sorted(before.keys() & after.keys()) if before[key] != after[key]
        },
    }


def compare(
    settings: Settings, old: PublishedRelease, new: PublishedRelease, architecture: str, work: Path
) -> dict[str, Any]:
    """The differences of two releases for one target, as ``pkgbuild diff --json`` prints them."""
    before, after = old.of(architecture), new.of(architecture)
    fetched = download(before, after)
    files = changes(
        _files(settings, old, before, work / "old"),
        _files(settings, new, after, work / "new"),
    )
    return {
        "name": new.name,
        "old": old.version,
        "new": new.version,
        "target": f"{new.shelf.debian}/{architecture}",
        "wheels": changes(wheels(before), wheels(after)),
        "files": {
            "added": {path: size for path, (size, _) in files["added"].items()},
            "removed": {path: size for path, (size, _) in files["removed"].items()},
            "changed": {path: [one[0], other[0]] for path, (one, other) in files["changed"].items()},
        },
        "sizes": {
            "old": sum(one.size for one in before.values()),
            "new": sum(one.size for one in after.values()),
            "download": sum(one.size for one in fetched),
            "downloaded_packages": sorted(one.package for one in fetched),
        },
    }


def _files(
    settings: Settings, release: PublishedRelease, packages: dict[str, Listed], folder: Path
) -> dict[str, tuple[int, str]]:
    """Size in bytes and digest of every file in the release's own packages, its version left out of the paths."""
    folder.mkdir(parents=True)
    found: dict[str, tuple[int, str]] = {}
    home = versions.release_home(release.name, release.version)[1:] + "/"
    for one in packages.values():
        if one.key not in {own.key for own in release.own}:
            continue
        path = published_files.fetch(settings, release.shelf, one, folder)
        for name, value in _contents(path).items():
            if not name.startswith(_ABOUT_THE_PACKAGE):
                found[name.replace(home, "")] = value
    return found


def _contents(path: Path) -> dict[str, tuple[int, str]]:
    try:
        with DebFile(path) as deb:
            sums = deb.md5sums(encoding="utf-8")
            members = {member.name.removeprefix("./"): member for member in deb.data.tgz() if not member.isdir()}
            return {name: (member.size, sums.get(name) or member.linkname or "-") for name, member in members.items()}
    except (DebError, tarfile.TarError, OSError, ValueError) as error:
        raise PkgbuildError(Kind.PUBLISH_FAILED, f"{path.name} cannot be read ({error}).") from error
