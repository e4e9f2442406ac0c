"""Putting a release into the published repository, whole or not at all.

For each Debian release a local repository ``pi-ota-DEBIAN-CHANNEL`` is snapshotted and published under the prefix
DEBIAN as distribution CHANNEL. Every step that changes something leaves behind how to take it back; a failure at any
step, the announcement included, takes back all of them in reverse order.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError, disk_full

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pkgbuild.aptly import Aptly, Listed
    from pkgbuild.deb import BuiltDeb

PROBE = "pi-ota-probe"
"""Prefix and repository by which is found out whether aptly can sign, before anything real is touched."""
_DISK_MARGIN = 8 << 20


def repository_name(debian: str, channel: str) -> str:
    """The local repository of aptly behind one channel of one Debian release."""
    return f"pi-ota-{debian}-{channel}"


@dataclass(frozen=True, slots=True)
class Part:
    """What one Debian release gets: packages that are new, and layers that aptly already holds."""

    debian: str
    built: tuple[BuiltDeb, ...]
    reused: tuple[Listed, ...]


class Publisher:
    """Publishes to one channel."""

    def __init__(self, aptly: Aptly, channel: str, *, aptly_root: Path | None, stamp: str) -> None:
        """``aptly_root`` is aptly's folder where it is on this machine; ``stamp`` makes names of snapshots unique."""
        self._aptly = aptly
        self._channel = channel
        self._root = aptly_root
        self._stamp = stamp

    def repository(self, debian: str) -> str:
        """The local repository of this channel for one Debian release."""
        return repository_name(debian, self._channel)

    def published_versions(self, name: str, debian: str) -> set[str]:
        """Versions of NAME on this channel, whatever their architecture."""
        repository = self.repository(debian)
        if repository not in self._aptly.repositories():
            return set()
        return {listed.version for listed in self._aptly.packages(repository, [name])}

    def find_layer(self, package: str, debian: str, architecture: str) -> Listed | None:
        """A layer that any channel of the Debian release already carries; it is never built or signed again."""
        ours = sorted(name for name in self._aptly.repositories() if name.startswith(f"pi-ota-{debian}-"))
        for repository in ours:
            for listed in self._aptly.packages(repository, [package]):
                if listed.architecture == architecture:
                    return listed
        return None

    def find(self, package: str, version: str, debian: str) -> Listed | None:
        """A package of exactly this version that any channel of the Debian release carries."""
        for repository in sorted(self._aptly.repositories()):
            if repository.startswith(f"pi-ota-{debian}-"):
                for listed in self._aptly.packages(repository, [package]):
                    if listed.version == version:
                        return listed
        return None

    def check_used_nowhere(self, name: str, version: str, debian: str) -> None:
        """Raise ``VERSION_NOT_HIGHER`` where another channel carries the version: it is never used for two contents."""
        for repository in sorted(self._aptly.repositories()):
            if not repository.startswith(f"pi-ota-{debian}-"):
                continue
            if any(listed.version == version for listed in self._aptly.packages(repository, [name])):
                raise PkgbuildError(
                    Kind.VERSION_NOT_HIGHER,
                    f"{name} {version} is already on channel {repository.removeprefix(f'pi-ota-{debian}-')}"
                    f" of {debian}: a version is never used twice. Choose a higher one.",
                )

    def check_can_sign(self) -> None:
        """Raise ``MISSING_KEY`` unless aptly can sign: it publishes an empty repository aside, which is removed."""
        undo = _Undo()
        try:
            if PROBE not in self._aptly.repositories():
                self._aptly.create_repository(PROBE)
            undo.add("removing the probe", lambda: self._aptly.delete_repository(PROBE))
            if self._aptly.published_snapshot(PROBE, PROBE) is None:
                self._aptly.publish(PROBE, PROBE, PROBE, kind="local")
            undo.add("withdrawing the probe", lambda: self._aptly.unpublish(PROBE, PROBE))
        finally:
            undo.run()
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

    def publish(self, parts: Sequence[Part], title: str, announce: Callable[[], None]) -> list[str]:
        """Publish all ``parts``, then ``announce``; if anything fails, put the channel back and raise the error.

        Returns the names of the snapshots now published. The caller holds the publish lock.
        """
        undo = _Undo()
        try:
            snapshots = [self._add(part, title, undo) for part in parts]
            for part, snapshot in zip(parts, snapshots, strict=True):
                self._switch(part.debian, snapshot, undo)
            announce()
        except BaseException as error:
            failures = undo.run()
            if failures and isinstance(error, PkgbuildError):
                raise PkgbuildError(
                    error.kind,
                    f"{error} Putting the channel back failed as well ({'; '.join(failures)}): mend that first.",
                ) from error
            raise
        return snapshots

    def _add(self, part: Part, title: str, undo: _Undo) -> str:
        """Bring the packages into the local repository, compare them with what was built, and take the snapshot."""
        repository = self.repository(part.debian)
        if repository not in self._aptly.repositories():
            self._aptly.create_repository(repository)
            undo.add(f"deleting {repository}", lambda: self._aptly.delete_repository(repository))
        names = [deb.fields.package for deb in part.built] + [listed.package for listed in part.reused]
        before = {listed.key for listed in self._aptly.packages(repository, names)}

        def take_out() -> None:
            added = [p.key for p in self._aptly.packages(repository, names) if p.key not in before]
            if added:
                self._aptly.remove(repository, added)

        undo.add("removing the added packages", take_out)
        if part.built:
            folder = f"{repository}-{self._stamp}"
            try:
                self._aptly.upload(folder, part.built)
                self._aptly.add_uploaded(repository, folder)
            except BaseException:
                undo.add("deleting uploaded files", lambda: self._aptly.discard_upload(folder))
                raise
        if missing := [listed.key for listed in part.reused if listed.key not in before]:
            self._aptly.add_listed(repository, missing)
        self._compare(part, self._aptly.packages(repository, names))

        snapshot = f"{repository}-{self._stamp}"
        self._aptly.create_snapshot(snapshot, repository, title)
        undo.add(f"deleting {snapshot}", lambda: self._aptly.delete_snapshot(snapshot))
        return snapshot

    @staticmethod
    def _compare(part: Part, listed: Sequence[Listed]) -> None:
        have = {(p.package, p.version, p.architecture): p.sha256 for p in listed}
        for deb in part.built:
            fields = deb.fields
            found = have.get((fields.package, fields.version, fields.architecture))
            if found != deb.sha256:
                raise PkgbuildError(
                    Kind.PUBLISH_FAILED,
                    f"aptly lists {deb.path.name} with SHA-256 {found} instead of {deb.sha256}: nothing was published."
                    " Run the release again.",
                )

    def _switch(self, debian: str, snapshot: str, undo: _Undo) -> None:
        previous = self._aptly.published_snapshot(debian, self._channel)
        if previous is None:

            def withdraw() -> None:
                if self._aptly.published_snapshot(debian, self._channel) is not None:
                    self._aptly.unpublish(debian, self._channel)

            undo.add(f"withdrawing {debian}/{self._channel}", withdraw)
            self._aptly.publish(debian, self._channel, snapshot)
        else:
            # also after a failed switch: that may leave by-hash files of the live release missing (aptly 1.5)
            undo.add(f"going back to {previous}", lambda: self._aptly.switch(debian, self._channel, previous))
            self._aptly.switch(debian, self._channel, snapshot)


class _Undo:
    """How to take back what was done, newest first; one that fails does not keep the others from running."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], None]]] = []

    def add(self, doing: str, step: Callable[[], None]) -> None:
        self._steps.append((doing, step))

    def run(self) -> list[str]:
        """Take everything back; returns a sentence for each step that failed."""
        failures = []
        while self._steps:
            doing, step = self._steps.pop()
            try:
                step()
            except PkgbuildError as error:
                failures.append(f"{doing}: {error}")
        return failures
