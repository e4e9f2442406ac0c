"""Removing releases that no device needs any more from a repository; which those are is decided by pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pkgbuild import catalogue, versions
from pkgbuild.publisher import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pkgbuild.aptly import Listed
    from pkgbuild.catalogue import Shelf
    from pkgbuild.progress import Progress
    from pkgbuild.session import Session

STEPS = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """Why a version stays: among the newest, with a device, or on offer."""

    newest: frozenset[str]
    needed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Needed:
    """What devices may still need, as the server says."""

    have: frozenset[str]
    """Installed, running or on its way somewhere."""
    offered: dict[str, set[str]]
    """What may be granted, by channel."""

    def on(self, channel: str) -> frozenset[str]:
        """Of one channel."""
        return self.have | self.offered.get(channel, set())


def decide(published: Iterable[str], needed: Iterable[str], count: int) -> Kept:
    """Which of one assistant's published versions stay: the ``count`` newest, and all that are ``needed``."""
    every = set(published)
    newest = sorted(every, key=versions.order, reverse=True)[:count]
    return Kept(frozenset(newest), frozenset(needed) & every)


def superfluous(name: str, packages: Sequence[Listed], kept: frozenset[str]) -> list[Listed]:
    """What goes from one shelf, of all packages of NAME and its layers on it: other versions, and layers of none.

    A layer stays where any package that stays depends on it, directly or through other layers.
    """
    staying = {p.key: p for p in packages if p.package == name and p.version in kept}
    while True:
        wanted = catalogue.layers_named(name, staying.values())
        more = {p.key: p for p in packages if p.package in wanted and p.key not in staying}
        if not more:
            return [p for p in packages if p.key not in staying]
        staying.update(more)


def prune(
    opened: Session, names: Sequence[str], *, channel: str | None, count: int, dry_run: bool, progress: Progress
) -> dict[str, Any]:
    """Remove what is not needed from every channel (or one); returns what went, and why the rest stayed.

    ``names``: assistants; all that are published where empty. Raises ``PkgbuildError``.
    """
    progress.step("asking which versions devices may still need")
    with opened.locked():
        shelves = catalogue.shelves(opened.aptly, channel)
        packages = {shelf: opened.aptly.packages(shelf.repository) for shelf in shelves}
        # what carries no urgency is a ready package, and no release
        every = {p.package for found in packages.values() for p in found if "Update-Urgency" in p.fields}
        chosen = sorted(set(names) & every if names else every)
        needed = {name: _needed(opened, name, progress) for name in chosen}
        going: dict[Shelf, list[Listed]] = {shelf: [] for shelf in shelves}
        rows = []
        for name in chosen:
            for shelf in shelves:
                own = [p for p in packages[shelf] if p.package == name or _is_layer_of(name, p)]
                kept = decide({p.version for p in own if p.package == name}, needed[name].on(shelf.channel), count)
                gone = superfluous(name, own, kept.newest | kept.needed)
                going[shelf] += gone
                rows.append(_row(shelf, name, kept, gone))
        progress.step("nothing is removed: this is a dry run" if dry_run else "removing the others")
        if not dry_run:
            _remove(opened, going)
    return {
        "dry_run": dry_run,
        "asked_the_server": opened.announcer is not None,
        "shelves": rows,
        "removed_bytes": sum(p.size for found in going.values() for p in found),
    }


def _remove(opened: Session, going: dict[Shelf, list[Listed]]) -> None:
    for one in sorted({shelf.channel for shelf, found in going.items() if found}):
        parts = [
            Part(shelf.debian, removed=tuple(found)) for shelf, found in going.items() if shelf.channel == one and found
        ]
        opened.publisher(one).publish(parts, "pruned", lambda: None, forget_previous=True)
    opened.aptly.clean_up()


def _needed(opened: Session, name: str, progress: Progress) -> Needed:
    if opened.announcer is None:
        progress.detail(f"{name}: the settings name no server, so nobody knows; the newest are kept, by number alone")
        return Needed(frozenset(), {})
    answer = opened.announcer.releases(name)
    have = frozenset(row["version"] for row in answer["in_use"])
    offered: dict[str, set[str]] = {}
    for row in answer["offered"]:
        offered.setdefault(row["channel"], set()).add(row["version"])
    every = have.union(*offered.values())
    words = ", ".join(sorted(every, key=versions.order)) or "none"
    progress.detail(f"{name}: devices have, or may be granted, {words}")
    return Needed(have, offered)


def _is_layer_of(name: str, package: Listed) -> bool:
    return versions.is_layer(package.package) and any(
        package.package.startswith(f"{name}-{kind}-") for kind in versions.LAYER_KINDS
    )


def _row(shelf: Shelf, name: str, kept: Kept, gone: Sequence[Listed]) -> dict[str, Any]:
    return {
        "debian": shelf.debian,
        "channel": shelf.channel,
        "name": name,
        "kept": sorted(kept.newest | kept.needed, key=versions.order),
        "kept_for_devices": sorted(kept.needed - kept.newest, key=versions.order),
        "removed": sorted({p.version for p in gone if p.package == name}, key=versions.order),
        "removed_packages": len(gone),
        "removed_bytes": sum(p.size for p in gone),
    }
