"""Taking a release from one channel to another: the very same packages, nothing is built or signed again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pkgbuild import catalogue, rollout, signed_by, versions
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.publisher import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgbuild.catalogue import PublishedRelease
    from pkgbuild.progress import Progress
    from pkgbuild.session import Session

STEPS = 3


def promote(
    opened: Session, name: str, version: str, *, source: str, target: str, paused: bool, progress: Progress
) -> dict[str, Any]:
    """Publish NAME VERSION of the channel ``source`` on ``target`` as well, and announce it there.

    ``paused``: devices wait until an operator resumes it. Raises ``PkgbuildError``; then nothing has changed.
    """
    progress.step(f"looking for {name} {version} on {source}")
    publisher = opened.publisher(target)
    if opened.announcer:
        opened.announcer.check()
    with opened.locked():
        releases = catalogue.find(opened.aptly, name, version, source)
        for release in releases:
            debian = release.shelf.debian
            published = publisher.published_versions(name, debian)
            versions.check_higher(name, version, published, f"{target} of {debian}")
        publisher.check_can_sign()
        update: dict[str, Any] = catalogue.announcement(releases, target)
        recorded = _recorded(opened, name, version, source)
        if recorded is not None:
            update["packages"] = recorded
        parts = [_part(opened, release, recorded) for release in releases]
        for release, part in zip(releases, parts, strict=True):
            signed_by.check_not_revoked(opened.settings, release.shelf, part.reused, opened.work)
        if spread := _rollout(releases, paused=paused):
            update["rollout"] = spread
        done = opened.publish(publisher, parts, f"{name} {version} from {source}", update)
    return {**update, "from": source, **asdict(done)}


def _rollout(releases: Sequence[PublishedRelease], *, paused: bool) -> dict[str, Any]:
    """As the release asked for when it was made; empty where it left that to the server."""
    given = rollout.of_field(releases[0].services[0].fields.get(rollout.FIELD))
    return {**(given.announced() if given else {}), **({"paused": True} if paused else {})}


def _recorded(opened: Session, name: str, version: str, channel: str) -> list[dict[str, Any]] | None:
    """The packages as they were announced on the channel: a version is never announced with others."""
    if opened.announcer is None:
        return None
    found = opened.announcer.releases(name, version)["updates"]
    return next((update["packages"] for update in found if update["channel"] == channel), None)


def _part(opened: Session, release: PublishedRelease, recorded: list[dict[str, Any]] | None) -> Part:
    if recorded is None:
        return Part(release.shelf.debian, reused=release.packages)
    rows = [row for row in recorded if row["debian"] == release.shelf.debian]
    listed = {p.sha256: p for p in opened.aptly.packages(release.shelf.repository, [row["package"] for row in rows])}
    if missing := sorted({row["package"] for row in rows if row["sha256"] not in listed}):
        raise PkgbuildError(
            Kind.PUBLISH_FAILED,
            f"{missing[0]} of {release.name} {release.version} is not on {release.shelf} any more: release it anew,"
            " as a higher version.",
        )
    return Part(release.shelf.debian, reused=tuple(listed[sha] for sha in dict.fromkeys(row["sha256"] for row in rows)))
