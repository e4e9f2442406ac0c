"""The one module that speaks aptly's REST API: by aptly-api-client, and raw where the client has no word for it.

aptly 1.5 loses packages on concurrent calls that change something: callers hold ``pkgbuild.locking.publishing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pkgbuild import aptly_errors
from pkgbuild import aptly_transport as transport
from pkgbuild.errors import Kind, PkgbuildError, disk_full, is_disk_full
from pkgbuild.targets import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pkgbuild.config import Settings
    from pkgbuild.control import PackageFields
    from pkgbuild.deb import BuiltDeb

ORIGIN = "pi-ota"
"""Origin and Label of every published distribution; apt refuses the repository on every device if it ever changes."""
_LARGE = 4 << 20
"""Bytes from which on a file is uploaded alone."""


def repository_name(debian: str, channel: str) -> str:
    """The local repository of aptly behind one channel of one Debian release."""
    return f"pi-ota-{debian}-{channel}"


def withdrawn_name(debian: str) -> str:
    """The local repository, never published, of what was withdrawn: its versions stay used."""
    return f"pi-ota-withdrawn-{debian}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A package as aptly lists it."""

    key: str
    """aptly's own reference, with a hash of the files."""
    package: str
    version: str
    architecture: str
    size: int
    sha256: str
    fields: Mapping[str, str]
    """Its control fields."""

    @classmethod
    def of(cls, package: transport.Wire) -> Listed:
        """From a package of aptly-api-client with its fields."""
        return cls(
            key=package.key,
            package=package.fields["Package"],
            version=package.fields["Version"],
            architecture=package.fields["Architecture"],
            size=int(package.fields["Size"]),
            sha256=package.fields["SHA256"],
            fields=package.fields,
        )


class Aptly:
    """One aptly server. Every method raises ``PkgbuildError``: unreachable, disk full, missing key, or refused."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float,
        archive_key: str | None,
        login: tuple[str, str] | None = None,
        endpoint: str | None = None,
    ) -> None:
        """``url`` is http(s) or ``unix:///path``; ``archive_key`` the fingerprint that aptly signs with.

        ``login`` is user and password of who guards it; ``endpoint`` is where it publishes to, as ``s3:NAME``.
        """
        self.url = url
        self._key = archive_key
        self._endpoint = endpoint or ""
        self._connection = transport.Connection.to(url, timeout_seconds, login)
        self._files = transport.Files(self._connection)
        self._misc = transport.Misc(self._connection)
        self._packages = transport.Packages(self._connection)
        self._publish = transport.Publish(self._connection)
        self._repos = transport.Repos(self._connection)
        self._snapshots = transport.Snapshots(self._connection)

    @classmethod
    def of(cls, settings: Settings) -> Aptly:
        """The one that the settings name."""
        file = settings.file
        return cls(
            file.aptly.url,
            timeout_seconds=file.aptly.timeout_seconds,
            archive_key=file.archive.key,
            login=settings.aptly_login,
            endpoint=file.aptly.endpoint,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def busy(self) -> AbstractContextManager[None]:
        """For many calls in a row: aptly keeps its database open, and its command line waits until they are over."""
        return self._connection.busy()

    def version(self) -> str:
        """The version of aptly; also the way to learn that it answers."""
        with self._talking("asking for its version"):
            return str(self._misc.version())

    def wait_until_idle(self) -> None:
        """Wait for what aptly is still doing, also for a builder that was killed meanwhile."""
        with self._talking("waiting for what it is doing"):
            self._connection.wait_until_idle()

    def clean_up(self) -> None:
        """Delete the files of packages that no repository and no snapshot holds any more."""
        with self._talking("deleting files that nothing needs"):
            self._connection.change("POST", "api/db/cleanup")

    def repositories(self) -> set[str]:
        """Names of the local repositories."""
        with self._talking("listing repositories"):
            return {repo.name for repo in self._repos.list()}

    def create_repository(self, name: str) -> None:
        """Make an empty local repository."""
        with self._talking(f"making repository {name}"):
            self._repos.create(name, default_component="main")

    def delete_repository(self, name: str) -> None:
        """Delete a local repository; the packages stay in aptly's pool."""
        with self._talking(f"deleting repository {name}"):
            self._repos.delete(name, force=True)

    def packages(self, repository: str, names: Sequence[str] | None = None) -> list[Listed]:
        """The packages of these names (None: all) in a local repository, every version and architecture."""
        query = None if names is None else " | ".join(f"Name (= {name})" for name in dict.fromkeys(names))
        return self._listed(repository, query)

    def exactly(self, repository: str, files: Sequence[PackageFields]) -> list[Listed]:
        """Those of the files, by name, version and architecture, that a local repository holds."""
        query = " | ".join(f"{one.package}_{one.version}_{one.architecture}" for one in files)
        return self._listed(repository, query)

    def versions(self, repository: str, name: str) -> set[str]:
        """The versions of one package in a local repository; quicker than ``packages`` where there are many."""
        with self._talking(f"listing versions in {repository}"):
            found = self._repos.search_packages(repository, query=f"Name (= {name})")
        return {package.key.split()[2] for package in found}  # "Parm64 NAME VERSION HASH"

    def gained(self, snapshot: str, before: str) -> list[Listed]:
        """What a snapshot has that the one ``before`` has not; as quick where both have thousands of packages."""
        with self._talking(f"comparing {snapshot} with {before}"):
            keys = [pair["Left"] for pair in self._snapshots.diff(snapshot, before)]
            return [Listed.of(self._packages.show(key)) for key in keys if key]

    def _listed(self, repository: str, query: str | None) -> list[Listed]:
        with self._talking(f"listing packages in {repository}"):
            return [Listed.of(one) for one in self._repos.search_packages(repository, query=query, detailed=True)]

    def upload(self, folder: str, debs: Sequence[BuiltDeb], advance: Callable[[int], None]) -> None:
        """Upload files into a folder of aptly's; ``advance`` hears how many bytes have gone.

        A large one has a call of its own: aptly keeps what comes in one call twice until it is over.
        """
        large = [[deb] for deb in debs if deb.size > _LARGE]
        small = [deb for deb in debs if deb.size <= _LARGE]
        for together in (*large, *([small] if small else [])):
            with self._talking(f"uploading {', '.join(deb.path.name for deb in together)}"):
                self._connection.upload(folder, [deb.path for deb in together], advance)

    def uploads(self) -> set[str]:
        """Folders of uploaded files that were not added yet."""
        with self._talking("listing uploaded files"):
            return set(self._files.list() or ())

    def discard_upload(self, folder: str) -> None:
        """Delete a folder of uploaded files; one that is not there is no error."""
        with self._talking("deleting uploaded files"):
            self._files.delete(folder)

    def add_uploaded(self, repository: str, folder: str) -> None:
        """Add the uploaded files to a local repository. A failed add answers 200, so the report is read."""
        with self._talking(f"adding packages to {repository}"):
            report = self._repos.add_uploaded_file(repository, folder)
        if report.failed_files:
            reasons = "; ".join(report.report.get("Warnings") or []) or ", ".join(report.failed_files)
            if is_disk_full(reasons):
                raise disk_full("aptly")
            raise PkgbuildError(Kind.PUBLISH_FAILED, f"aptly did not take all packages: {reasons}")

    def add_listed(self, repository: str, keys: Sequence[str]) -> None:
        """Add packages that aptly already holds."""
        with self._talking(f"adding packages to {repository}"):
            self._repos.add_packages_by_key(repository, *keys)

    def remove(self, repository: str, keys: Sequence[str]) -> None:
        """Take packages out of a local repository."""
        with self._talking(f"removing packages from {repository}"):
            self._repos.delete_packages_by_key(repository, *keys)

    def keys(self, repository: str) -> set[str]:
        """Aptly's references of everything in a local repository."""
        with self._talking(f"listing packages in {repository}"):
            return {package.key for package in self._repos.search_packages(repository)}

    def snapshot_keys(self, snapshot: str) -> set[str]:
        """Aptly's references of everything in a snapshot."""
        with self._talking(f"listing packages in {snapshot}"):
            return {package.key for package in self._snapshots.list_packages(snapshot)}

    def snapshots(self) -> set[str]:
        """Names of all snapshots."""
        with self._talking("listing snapshots"):
            return {snapshot.name for snapshot in self._snapshots.list()}

    def create_snapshot(self, name: str, repository: str, description: str) -> None:
        """Freeze a local repository."""
        # raw: the client asks once more for what the call has answered
        body = {"Name": name, "Description": description}
        with self._talking(f"taking snapshot {name}"):
            self._connection.change("POST", f"api/repos/{quote(repository)}/snapshots", json=body)

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot that is not published."""
        with self._talking(f"deleting snapshot {name}"):
            self._snapshots.delete(name)

    def published(self) -> list[tuple[str, str, str]]:
        """Prefix, distribution and snapshot of everything that is published from a snapshot, in order."""
        with self._talking("listing what is published"):
            return sorted(
                (str(point.prefix), str(point.distribution), str(point.sources[0]["Name"]))
                for point in self._publish.list()
                if point.source_kind == "snapshot" and point.storage == self._endpoint
            )

    def published_snapshots(self) -> dict[tuple[str, str], str]:
        """What is published by prefix and distribution."""
        with self._talking("listing what is published"):
            return {
                (str(point.prefix), str(point.distribution)): str(point.sources[0]["Name"])
                for point in self._publish.list()
                if point.storage == self._endpoint
            }

    def published_snapshot(self, prefix: str, distribution: str) -> str | None:
        """The snapshot that is published there, or None."""
        return self.published_snapshots().get((prefix, distribution))

    def publish(self, prefix: str, distribution: str, snapshot: str) -> None:
        """Publish a snapshot for the first time, signed, with by-hash."""
        self._publish_first(prefix, distribution, snapshot, "snapshot", ARCHITECTURES)

    def publish_aside(self, prefix: str, repository: str) -> None:
        """Publish a local repository under a prefix of its own, for one architecture: to see whether that goes."""
        self._publish_first(prefix, prefix, repository, "local", ARCHITECTURES[:1])

    def _publish_first(
        self, prefix: str, distribution: str, name: str, kind: str, architectures: Sequence[str]
    ) -> None:
        # raw: the client knows neither SkipContents nor SkipBz2 here; aptly 1.5 panics on the first without the second
        body = {
            "SourceKind": kind,
            "Sources": [{"Name": name, "Component": "main"}],
            "Distribution": distribution,
            "Architectures": list(architectures),
            "Origin": ORIGIN,
            "Label": ORIGIN,
            "AcquireByHash": True,
            "SkipContents": True,
            "SkipBz2": True,
            "Signing": self._signing(),
        }
        with self._talking(f"publishing {prefix}/{distribution}", signs=True):
            self._publish.do_post(f"api/publish/{self._at(prefix)}", json=body)

    def switch(self, prefix: str, distribution: str, snapshot: str, *, tidy: bool = True) -> None:
        """Publish another snapshot in the place of the present one; ``tidy`` deletes files that none needs any more.

        For that aptly reads every package of every channel of the prefix once more.
        """
        body = {
            "Snapshots": [{"Name": snapshot, "Component": "main"}],
            "SkipContents": True,
            "SkipBz2": True,
            "SkipCleanup": not tidy,
            "AcquireByHash": True,
            "Signing": self._signing(),
        }
        with self._talking(f"publishing {prefix}/{distribution}", signs=True):
            self._publish.do_put(f"api/publish/{self._at(prefix)}/{quote(distribution)}", json=body)

    def unpublish(self, prefix: str, distribution: str) -> None:
        """Take a distribution out of the published tree."""
        with self._talking(f"withdrawing {prefix}/{distribution}"):
            path = f"api/publish/{self._at(prefix)}/{quote(distribution)}"
            self._publish.do_delete(path, params={"force": "1"})

    def _at(self, prefix: str) -> str:
        """A prefix as part of an address: with the endpoint before it."""
        return quote(f"{self._endpoint}:{prefix}" if self._endpoint else prefix)

    def _signing(self) -> dict[str, Any]:
        return {"Batch": True, **({"GpgKey": self._key} if self._key else {})}

    def _talking(self, doing: str, *, signs: bool = False) -> AbstractContextManager[None]:
        return aptly_errors.talking(self.url, doing, signs=signs)
