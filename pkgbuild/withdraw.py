"""Taking a release back: first at the server, so that nobody is granted it, then out of the repository.

A device that has it keeps it; going back to an older content is a release of its own (``pkgbuild.rollback``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pkgbuild import catalogue
from pkgbuild.aptly import withdrawn_name
from pkgbuild.publisher import Part
from pkgbuild.targets import PYTHON_OF

if TYPE_CHECKING:
    from pkgbuild.catalogue import PublishedRelease
    from pkgbuild.progress import Progress
    from pkgbuild.session import Session

STEPS = 2


def withdraw(opened: Session, name: str, version: str, *, channel: str | None, progress: Progress) -> dict[str, Any]:
    """Withdraw NAME VERSION from one channel, or (None) from all. Doing it again changes nothing.

    Raises ``PkgbuildError``; what is done by then stays done, and the same again goes on from there.
    """
    progress.step(f"withdrawing {name} {version} at the server")
    updates = _at_the_server(opened, name, version, channel, progress)
    progress.step("taking it out of the repository")
    with opened.locked():
        releases = catalogue.wherever(opened.aptly, name, version, channel)
        if not releases and not updates and not _is_withdrawn(opened, name, version):
            raise catalogue.nowhere(name, version, channel)
        for release in releases:
            _remember(opened, release)
        for one in sorted({release.shelf.channel for release in releases}):
            parts = [
                Part(release.shelf.debian, removed=release.own) for release in releases if release.shelf.channel == one
            ]
            opened.publisher(one).publish(parts, f"{name} without {version}", lambda: None)
    return {
        "name": name,
        "version": version,
        "updates": updates,
        "channels": sorted({release.shelf.channel for release in releases}),
    }


def _at_the_server(opened: Session, name: str, version: str, channel: str | None, progress: Progress) -> list[str]:
    if opened.announcer is None:
        progress.detail("the settings name no server: whoever was granted it may still ask for it, and not get it")
        return []
    found = [
        update
        for update in opened.announcer.releases(name)["updates"]
        if update["version"] == version and channel in {None, update["channel"]}
    ]
    for update in found:
        if update["state"] != "withdrawn":
            opened.announcer.withdraw(update["id"])
        progress.detail(f"on {update['channel']}: withdrawn")
    return [update["id"] for update in found]


def _remember(opened: Session, release: PublishedRelease) -> None:
    """Its version stays used: devices may have it, and never take another content for it."""
    repository = withdrawn_name(release.shelf.debian)
    if repository not in opened.aptly.repositories():
        opened.aptly.create_repository(repository)
    opened.aptly.add_listed(repository, [one.key for one in release.services])


def _is_withdrawn(opened: Session, name: str, version: str) -> bool:
    have = opened.aptly.repositories()
    return any(
        listed.version == version
        for debian in PYTHON_OF
        if withdrawn_name(debian) in have
        for listed in opened.aptly.packages(withdrawn_name(debian), [name])
    )
