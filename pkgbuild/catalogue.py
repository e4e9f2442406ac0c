"""What is published: releases as sets of packages, read from aptly's local repositories."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild import versions
from pkgbuild.announce import package_row
from pkgbuild.aptly import repository_name
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.targets import PYTHON_OF

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pkgbuild.aptly import Aptly, Listed
    from pkgbuild.targets import Target

_DEPENDENCY = re.compile(r"[a-z0-9][a-z0-9.+-]+")


@dataclass(frozen=True, slots=True)
class Shelf:
    """One channel of one Debian release."""

    debian: str
    channel: str

    @property
    def repository(self) -> str:
        """Its local repository."""
        return repository_name(self.debian, self.channel)

    def __str__(self) -> str:
        return f"{self.channel} of {self.debian}"


@dataclass(frozen=True, slots=True)
class PublishedRelease:
    """One version of an assistant on one shelf."""

    shelf: Shelf
    name: str
    version: str
    services: tuple[Listed, ...]
    """``NAME``, one an architecture."""
    layers: tuple[Listed, ...]
    """And what they need of this repository, ready packages included."""

    @property
    def packages(self) -> tuple[Listed, ...]:
        """All of them."""
        return self.services + self.layers

    @property
    def own(self) -> tuple[Listed, ...]:
        """What belongs to this version alone: without layers that other versions may share."""
        app = versions.app_package(self.name, self.version)
        return self.services + tuple(layer for layer in self.layers if layer.package == app)

    def of(self, architecture: str) -> dict[str, Listed]:
        """What one architecture installs, by package name."""
        return {one.package: one for one in self.packages if one.architecture in {architecture, "all"}}


def shelves(aptly: Aptly, channel: str | None = None) -> list[Shelf]:
    """Every channel of every Debian release, or one channel of each."""
    found = []
    for repository in sorted(aptly.repositories()):
        for debian in sorted(PYTHON_OF):
            prefix = repository_name(debian, "")
            if repository.startswith(prefix) and channel in {None, repository.removeprefix(prefix)}:
                found.append(Shelf(debian, repository.removeprefix(prefix)))
    return found


def services(aptly: Aptly, shelf: Shelf, name: str | None = None) -> list[Listed]:
    """What can be installed by name, no layers; the lowest version first."""
    listed = [p for p in aptly.packages(shelf.repository, [name] if name else None) if not versions.is_layer(p.package)]
    return sorted(listed, key=lambda p: (p.package, versions.order(p.version), p.architecture))


def layers_named(name: str, packages: Iterable[Listed]) -> set[str]:
    """The names of the layers of NAME that these packages depend on."""
    return {word for word in _depended_on(packages) if word.startswith(f"{name}-") and versions.is_layer(word)}


def _depended_on(packages: Iterable[Listed]) -> set[str]:
    return {word for p in packages for word in _DEPENDENCY.findall(p.fields.get("Depends", ""))}


def _newest(packages: Iterable[Listed]) -> list[Listed]:
    """Of each package the highest version: a ready package may be there several times."""
    found: dict[tuple[str, str], Listed] = {}
    for one in sorted(packages, key=lambda p: versions.order(p.version)):
        found[one.package, one.architecture] = one
    return list(found.values())


def find(aptly: Aptly, name: str, version: str, channel: str | None = None) -> list[PublishedRelease]:
    """The release wherever it is. Raises ``BAD_INPUT`` where it is nowhere."""
    found = wherever(aptly, name, version, channel)
    if not found:
        raise nowhere(name, version, channel)
    return found


def wherever(aptly: Aptly, name: str, version: str, channel: str | None = None) -> list[PublishedRelease]:
    """The same; nothing where it is nowhere."""
    each = (on_shelf(aptly, shelf, name, version) for shelf in shelves(aptly, channel))
    return [release for release in each if release is not None]


def nowhere(name: str, version: str, channel: str | None) -> PkgbuildError:
    """What to say where it is nowhere."""
    where = f"on {channel}" if channel else "published"
    return PkgbuildError(Kind.BAD_INPUT, f"{name} {version} is not {where}: `pkgbuild list {name}` shows what is.")


def hashes(aptly: Aptly, name: str, version: str, target: Target) -> frozenset[str] | None:
    """SHA-256 of what a device of the target has that has this version; None where no channel has it any more."""
    for shelf in shelves(aptly):
        if shelf.debian == target.debian and (release := on_shelf(aptly, shelf, name, version)):
            return frozenset(one.sha256 for one in release.of(target.architecture).values())
    return None


def on_shelf(aptly: Aptly, shelf: Shelf, name: str, version: str) -> PublishedRelease | None:
    """The release on one shelf, with its layers."""
    own = tuple(p for p in services(aptly, shelf, name) if p.version == version)
    if not own:
        return None
    found = {p.key: p for p in own}
    wanted = _depended_on(own) - {name}
    while wanted:
        more = [p for p in _newest(aptly.packages(shelf.repository, sorted(wanted))) if p.key not in found]
        found.update((p.key, p) for p in more)
        wanted = _depended_on(more) - {p.package for p in found.values()}
    layers = tuple(sorted((p for p in found.values() if p not in own), key=lambda p: p.key))
    return PublishedRelease(shelf, name, version, own, layers)


def announcement(releases: Sequence[PublishedRelease], channel: str) -> dict[str, object]:
    """What the server is told of a release that is published already (docs/INTERFACES.md)."""
    fields = releases[0].services[0].fields
    return {
        "name": releases[0].name,
        "version": releases[0].version,
        "channel": channel,
        "urgency": fields["Update-Urgency"],
        "notes": fields["Update-Notes"],
        "minimum_agent": fields.get("Update-Minimum-Agent"),
        "packages": [
            package_row(one, release.shelf.debian, architecture)
            for release in releases
            for architecture in sorted({one.architecture for one in release.services})
            for one in release.of(architecture).values()
        ],
    }
