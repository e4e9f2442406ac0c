"""Building the packages of one release for all its targets: only what the repository does not hold yet."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild import control, deb, layers, versions
from pkgbuild.epoch import LAYER_EPOCH, release_epoch
from pkgbuild.progress import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pkgbuild.aptly import Listed
    from pkgbuild.control import PackageFields, Release
    from pkgbuild.deb import BuiltDeb, Documents
    from pkgbuild.payload import Payload
    from pkgbuild.progress import Progress
    from pkgbuild.requirements import Resolved
    from pkgbuild.signing import Signer
    from pkgbuild.targets import Target

    FindLayer = Callable[[str, str, str], Listed | None]
    """(package, Debian release, architecture) -> the layer that is already in the repository, or None."""


@dataclass(frozen=True, slots=True)
class TargetPackages:
    """The packages of a release for one target."""

    target: Target
    built: tuple[BuiltDeb, ...]
    reused: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    path: Path
    fields: PackageFields
    signed: bool = False


class Builder:
    """Builds into ``work``, a folder of this run; keeps signed deps layers, which take longest, in ``cache``."""

    def __init__(
        self, payload: Payload, release: Release, signer: Signer, *, work: Path, cache: Path, progress: Progress
    ) -> None:
        self._payload = payload
        self._release = release
        self._signer = signer
        self._work = work
        self._cache = cache / signer.fingerprint
        self._progress = progress

    def build(self, resolved: Mapping[Target, Resolved | None], find_layer: FindLayer) -> list[TargetPackages]:
        """Build, sign and read back. Raises ``PkgbuildError``."""
        epoch = release_epoch(self._payload.folder)
        made: dict[Target, list[_Made]] = {target: [] for target in resolved}
        reused: dict[Target, list[Listed]] = {target: [] for target in resolved}
        identity = {target: found.lock.identity(target) if found else None for target, found in resolved.items()}

        self._progress.step("building the deps layers")
        for target, found in resolved.items():
            if found is None:
                continue
            package = versions.deps_package(self._release.name, found.lock.identity(target))
            if listed := find_layer(package, target.debian, target.architecture):
                reused[target].append(listed)
                self._progress.detail(f"{target}: {package} is already in the repository ({human_size(listed.size)})")
            else:
                made[target].append(self._deps(target, found))

        self._progress.step("building the app layers")
        for target in resolved:
            tree = self._tree(target)
            staged = layers.stage_app(
                self._payload,
                self._release,
                target,
                identity[target],
                tree=tree,
                epoch=epoch,
                say=self._progress.detail,
            )
            made[target].append(self._pack(target, tree, staged, epoch))

        self._progress.step(f"building {self._release.name} {self._release.version}")
        for target in resolved:
            tree = self._tree(target)
            staged = layers.stage_service(
                self._payload, self._release, target, identity[target], tree=tree, epoch=epoch
            )
            made[target].append(self._pack(target, tree, staged, epoch))

        self._progress.step("signing and reading back")
        return [
            TargetPackages(target, tuple(self._finish(target, one) for one in made[target]), tuple(reused[target]))
            for target in resolved
        ]

    def _deps(self, target: Target, found: Resolved) -> _Made:
        fields = layers.deps_fields(self._payload, target, found)
        remembered = self._remembered(target, fields)
        if remembered.is_file():
            path = self._out(target) / fields.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(remembered, path)
            self._progress.detail(f"{target}: {path.name} {human_size(path.stat().st_size)}, built before")
            return _Made(path, fields, signed=True)
        tree = self._tree(target)
        documents = layers.stage_deps(self._payload, target, found, fields, tree=tree, epoch=LAYER_EPOCH)
        return self._pack(target, tree, (fields, documents), LAYER_EPOCH)

    def _pack(self, target: Target, tree: Path, staged: tuple[PackageFields, Documents], epoch: int) -> _Made:
        fields, documents = staged
        path = deb.build(
            tree, fields, control.About.of(self._payload.file), documents, out=self._out(target), epoch=epoch
        )
        self._progress.detail(f"{target}: {path.name} {human_size(path.stat().st_size)}")
        return _Made(path, fields)

    def _finish(self, target: Target, made: _Made) -> BuiltDeb:
        if not made.signed:
            self._signer.sign(made.path)
        self._signer.verify(made.path)
        built = deb.read_back(made.path, made.fields)
        if made.fields.package.startswith(versions.deps_package(self._release.name, "")) and not made.signed:
            remembered = self._remembered(target, made.fields)
            remembered.parent.mkdir(parents=True, exist_ok=True)
            partial = remembered.with_suffix(".partial")
            shutil.copyfile(made.path, partial)
            partial.replace(remembered)
        return built

    def _remembered(self, target: Target, fields: PackageFields) -> Path:
        return self._cache / target.debian / fields.file_name

    def _tree(self, target: Target) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{target.slug}-", dir=self._work))

    def _out(self, target: Target) -> Path:
        return self._work / "debs" / target.slug
