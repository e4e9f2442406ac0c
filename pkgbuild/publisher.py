"""Putting a release into the published repository, whole or not at all.

For each Debian release a local repository ``pi-ota-DEBIAN-CHANNEL`` is snapshotted and published under the prefix
DEBIAN as distribution CHANNEL. Every snapshot is there before the first is published. A failure at any step, the
announcement included, puts back what was there before; a run that is killed leaves a journal, see ``unfinished``.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pkgbuild import unfinished, versions
from pkgbuild.aptly import repository_name, withdrawn_name
from pkgbuild.errors import Kind, PkgbuildError, disk_full
from pkgbuild.journal import Change, Entry, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from pkgbuild.aptly import Aptly, Listed
    from pkgbuild.deb import BuiltDeb
    from pkgbuild.journal import Journal
    from pkgbuild.progress import Progress

PROBE = "pi-ota-probe"
"""Prefix and repository by which is found out whether aptly can sign, before anything real is touched."""
_DISK_MARGIN = 8 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """What one Debian release gets: packages that are new, and ones that aptly already holds; and what it loses."""

    debian: str
    built: tuple[BuiltDeb, ...] = ()
    reused: tuple[Listed, ...] = ()
    removed: tuple[Listed, ...] = ()


class Publisher:
    """Publishes to one channel."""

    def __init__(
        self,
        aptly: Aptly,
        channel: str,
        *,
        journal: Journal,
        aptly_root: Path | None,
        stamp: str,
        progress: Progress,
    ) -> None:
        """``aptly_root`` is aptly's folder where it is on this machine; ``stamp`` makes names of snapshots unique."""
        self._aptly = aptly
        self._channel = channel
        self._journal = journal
        self._root = aptly_root
        self._stamp = stamp
        self._progress = progress

    def repository(self, debian: str) -> str:
        """The local repository of this channel for one Debian release."""
        return repository_name(debian, self._channel)

    def published_versions(self, name: str, debian: str) -> set[str]:
        """Versions of NAME on this channel, whatever their architecture."""
        repository = self.repository(debian)
        if repository not in self._aptly.repositories():
            return set()
        return self._aptly.versions(repository, name)

    def find_layer(self, package: str, debian: str, architecture: str) -> Listed | None:
        """A layer that any channel of the Debian release already carries; it is never built or signed again."""
        fitting = (listed for listed in self._everywhere(package, debian) if listed.architecture == architecture)
        return next(fitting, None)

    def find_ready(self, built: BuiltDeb, debian: str) -> Listed | None:
        """The very same file where any channel of the Debian release carries it.

        Raises ``VERSION_NOT_HIGHER`` where its version is there with other content, or a higher one is on this channel.
        """
        fields = built.fields
        for listed in self._everywhere(fields.package, debian):
            if (listed.version, listed.architecture) != (fields.version, fields.architecture):
                continue
            if listed.sha256 == built.sha256:
                return listed
            raise PkgbuildError(
                Kind.VERSION_NOT_HIGHER,
                f"{fields.package} {fields.version} is published for {debian} with other content, or was signed on"
                " another machine: a version is never used twice. Publish a higher one, or leave it out.",
            )
        top = versions.highest(self.published_versions(fields.package, debian))
        if top is not None and versions.compare(fields.version, top) < 0:
            raise PkgbuildError(
                Kind.VERSION_NOT_HIGHER,
                f"{fields.package} {fields.version} is lower than {top}, which is published on {self._channel} of"
                f" {debian}: devices would never take it. Publish {top} or a higher one.",
            )
        return None

    def _everywhere(self, package: str, debian: str) -> Iterator[Listed]:
        """On every channel of the Debian release."""
        prefix = repository_name(debian, "")
        for repository in sorted(self._aptly.repositories()):
            if repository.startswith(prefix):
                yield from self._aptly.packages(repository, [package])

    def check_new(self, name: str, version: str, debian: str) -> None:
        """Raise ``VERSION_NOT_HIGHER`` unless the version is above all of this channel and was used on none.

        A version never has two contents, so those of other channels and withdrawn ones count.
        """
        prefix, gone = repository_name(debian, ""), withdrawn_name(debian)
        used = {
            repository: self._aptly.versions(repository, name)
            for repository in sorted(self._aptly.repositories())
            if repository.startswith(prefix) or repository == gone
        }
        own = used.pop(self.repository(debian), set())
        versions.check_higher(name, version, own, f"{self._channel} of {debian}")
        if version in used.pop(gone, set()):
            raise PkgbuildError(
                Kind.VERSION_NOT_HIGHER,
                f"{name} {version} was withdrawn, and devices may have it: a version is never used twice. Choose a"
                " higher one.",
            )
        for repository, found in used.items():
            if version in found:
                raise PkgbuildError(
                    Kind.VERSION_NOT_HIGHER,
                    f"{name} {version} is already on channel {repository.removeprefix(prefix)} of {debian}: a version"
                    " is never used twice. Choose a higher one.",
                )

    def check_can_sign(self) -> None:
        """Raise ``MISSING_KEY`` unless aptly can sign: it publishes an empty repository aside, which is removed."""
        with self._aptly.busy():
            self._check_can_sign()

    def _check_can_sign(self) -> None:
        try:
            with suppress(PkgbuildError):  # one that was killed has left it; whatever else is wrong, the next call says
                self._aptly.create_repository(PROBE)
            try:
                self._aptly.publish_aside(PROBE, PROBE)
            except PkgbuildError:
                if self._aptly.published_snapshot(PROBE, PROBE) is None:
                    raise
                self._aptly.unpublish(PROBE, PROBE)  # left in the same way
                self._aptly.publish_aside(PROBE, PROBE)
        finally:
            # what fails was not made, or is left for the next probe to take
            with suppress(PkgbuildError):
                self._aptly.unpublish(PROBE, PROBE)
            with suppress(PkgbuildError):
                self._aptly.delete_repository(PROBE)
            if self._root:
                shutil.rmtree(self._root / "public" / PROBE, ignore_errors=True)

    def check_room(self, parts: Sequence[Part]) -> None:
        """Raise ``DISK_FULL`` where aptly's disk, if it is ours to see, has no room for the new packages."""
        if self._root is None or not self._root.is_dir():
            return
        # once as uploaded and once in the pool; the published tree links to the pool
        needed = 2 * sum(deb.size for part in parts for deb in part.built) + _DISK_MARGIN
        if shutil.disk_usage(self._root).free < needed:
            raise disk_full(f"aptly ({self._root}, {needed >> 20} MiB needed)")

    def publish(
        self,
        parts: Sequence[Part],
        title: str,
        announce: Callable[[], None],
        update: dict[str, Any] | None = None,
        *,
        forget_previous: bool = False,
    ) -> list[str]:
        """Publish all ``parts``, then ``announce``; if anything fails, put the channel back and raise the error.

        ``update`` is what ``announce`` tells the server, for the run that has to finish this one if it is killed.
        The snapshot that was published before stays, unless it is to be forgotten. Returns the names of the snapshots
        now published. The caller holds the publish lock.
        """
        with self._aptly.busy():
            return self._published(parts, title, announce, update, forget_previous=forget_previous)

    def _published(
        self,
        parts: Sequence[Part],
        title: str,
        announce: Callable[[], None],
        update: dict[str, Any] | None,
        *,
        forget_previous: bool,
    ) -> list[str]:
        published, have = self._aptly.published_snapshots(), self._aptly.repositories()
        entry = Entry(
            title=title,
            channel=self._channel,
            changes=tuple(
                Change(
                    debian=part.debian,
                    snapshot=f"{self.repository(part.debian)}-{self._stamp}",
                    previous=published.get((part.debian, self._channel)),
                )
                for part in parts
            ),
            update=update,
        )
        self._journal.write(entry)
        try:
            for part, change in zip(parts, entry.changes, strict=True):
                self._fill(part, change, title, have)
            entry = entry.at(Stage.SWITCHING)
            self._journal.write(entry)
            for part, change in zip(parts, entry.changes, strict=True):
                first, tidy = change.previous is None, bool(part.removed)
                unfinished.switch(self._aptly, self._channel, change, first=first, tidy=tidy)
            announce()
        except BaseException as error:
            failures = unfinished.take_back(self._aptly, self._journal, entry)
            if failures and isinstance(error, PkgbuildError):
                raise PkgbuildError(
                    error.kind,
                    f"{error} Putting the channel back failed as well ({'; '.join(failures)}): mend that first.",
                ) from error
            raise
        unfinished.tidy(self._aptly, entry, previous_too=forget_previous)
        self._journal.clear()
        return [change.snapshot for change in entry.changes]

    def _fill(self, part: Part, change: Change, title: str, have: Collection[str]) -> None:
        """Bring the packages into the local repository, take the snapshot, and compare it with what was built."""
        repository = self.repository(part.debian)
        if repository not in have:
            self._aptly.create_repository(repository)
        if part.built:
            with self._progress.bar("uploading", sum(deb.size for deb in part.built)) as advance:
                self._aptly.upload(change.snapshot, part.built, advance)
            self._aptly.add_uploaded(repository, change.snapshot)
        if part.reused:  # what is there already stays there
            self._aptly.add_listed(repository, [listed.key for listed in part.reused])
        if part.removed:
            self._aptly.remove(repository, [listed.key for listed in part.removed])
        self._aptly.create_snapshot(change.snapshot, repository, title)
        if part.built:
            self._compare(part, change, repository)

    def _compare(self, part: Part, change: Change, repository: str) -> None:
        hashes: dict[tuple[str, str, str], str] = {}
        wanted = {(one.package, one.version, one.fields.architecture): one for one in part.built}
        if change.previous is not None:
            hashes |= _hashes(self._aptly.gained(change.snapshot, change.previous))
        if not wanted.keys() <= hashes.keys():  # of a first release, or what the repository had before unpublished
            hashes |= _hashes(self._aptly.exactly(repository, [deb.fields for deb in part.built]))
        for key, deb in wanted.items():
            found = hashes.get(key)
            if found != deb.sha256:
                raise PkgbuildError(
                    Kind.PUBLISH_FAILED,
                    f"aptly lists {deb.path.name} with SHA-256 {found} instead of {deb.sha256}: nothing was published."
                    " Run the release again.",
                )


def _hashes(listed: Iterable[Listed]) -> dict[tuple[str, str, str], str]:
    return {(one.package, one.version, one.architecture): one.sha256 for one in listed}
