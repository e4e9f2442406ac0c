"""What a release brings that the one before it did not: its packages, and what a device downloads. Pure.

Packages are those of announcements: ``package``, ``version``, ``debian``, ``architecture``, ``size``, ``sha256``.
Announcements of older builders may leave size and sum out: then nobody can say how much is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Package = Mapping[str, Any]
_EVERY = "all"
_LAYERS = ("app", "deps")
"""Of these a release has one for each target; its name says which one, so another one has another name."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Which devices: a Debian release and an architecture."""

    debian: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.debian} {self.architecture}"


@dataclass(frozen=True, slots=True)
class Changed:
    """A package that another one takes the place of."""

    before: Package
    after: Package


@dataclass(frozen=True, slots=True)
class Difference:
    """For one target; a package is in one of the lists."""

    target: Target
    added: Sequence[Package]
    removed: Sequence[Package]
    changed: Sequence[Changed]
    unchanged: Sequence[Package]
    download: int | None
    """Bytes that a device fetches that has the release before; None where the announcement does not say."""
    whole: int | None
    """Bytes that a device fetches that has nothing."""


def targets(packages: Iterable[Package]) -> list[Target]:
    """The targets of a release, in order; a package for every architecture makes no target where there are others."""
    found = {Target(one["debian"], one["architecture"]) for one in packages}
    particular = {one.debian for one in found if one.architecture != _EVERY}
    return sorted(one for one in found if one.architecture != _EVERY or one.debian not in particular)


def of_target(packages: Iterable[Package], target: Target) -> list[Package]:
    """The packages that a device of this target has, by name."""
    found = [
        one
        for one in packages
        if one["debian"] == target.debian and one["architecture"] in {target.architecture, _EVERY}
    ]
    return sorted(found, key=lambda one: str(one["package"]))


def difference(name: str, target: Target, before: Iterable[Package], after: Iterable[Package]) -> Difference:
    """For one target, from one release of the assistant ``name`` to another; with nothing ``before`` all is added."""
    old = {_place(name, one): one for one in of_target(before, target)}
    new = {_place(name, one): one for one in of_target(after, target)}
    both = [(old[place], new[place]) for place in new if place in old]
    have = {_identity(one) for one in old.values()}
    return Difference(
        target,
        added=[one for place, one in new.items() if place not in old],
        removed=[one for place, one in old.items() if place not in new],
        changed=[Changed(one, two) for one, two in both if _identity(one) != _identity(two)],
        unchanged=[two for one, two in both if _identity(one) == _identity(two)],
        download=_size(one for one in new.values() if _identity(one) not in have),
        whole=_size(new.values()),
    )


def _place(name: str, package: Package) -> str:
    """What a package is to the release, whatever its version: an app layer takes the place of the one before."""
    given = str(package["package"])
    return next((f"{name}-{layer}-" for layer in _LAYERS if given.startswith(f"{name}-{layer}-")), given)


def _identity(package: Package) -> str:
    return str(package.get("sha256") or f"{package['package']} {package['version']}")


def _size(packages: Iterable[Package]) -> int | None:
    sizes = [one.get("size") for one in packages]
    return sum(sizes) if None not in sizes else None  # type: ignore[arg-type] # no None is left
