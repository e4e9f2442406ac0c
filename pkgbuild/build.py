"""Building the packages of one release for all its targets: only what the repository does not hold yet."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pkgbuild import assets, control, deb, layers, ready, versions
from pkgbuild.epoch import LAYER_EPOCH, release_epoch
from pkgbuild.payload import Deb
from pkgbuild.progress import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pkgbuild.announce import Packaged
    from pkgbuild.aptly import Listed
    from pkgbuild.control import PackageFields, Release
    from pkgbuild.deb import BuiltDeb, Documents
    from pkgbuild.payload import Payload
    from pkgbuild.progress import Progress
    from pkgbuild.ready import ReadyDeb
    from pkgbuild.requirements import Resolved
    from pkgbuild.signing import Signer
    from pkgbuild.targets import Target

    Stage = Callable[..., tuple[PackageFields, Documents]]


class Repository(Protocol):
    """What is published already. Real: ``pkgbuild.publisher.Publisher``; ``Nothing`` where nobody publishes."""

    def find_layer(self, package: str, debian: str, architecture: str) -> Listed | None:
        """The layer that is already in the repository, or None."""

    def find_ready(self, built: BuiltDeb, debian: str) -> Listed | None:
        """The same file where it is published already. Raises ``VERSION_NOT_HIGHER`` where it clashes."""


class Nothing:
    """A repository that holds nothing: everything is built."""

    def find_layer(self, _package: str, _debian: str, _architecture: str) -> None:
        """There is none."""

    def find_ready(self, _built: BuiltDeb, _debian: str) -> None:
        """There is none."""


@dataclass(frozen=True, slots=True)
class TargetPackages:
    """The packages of a release for one target; what fits several targets is named for each."""

    target: Target
    built: tuple[BuiltDeb, ...]
    reused: tuple[Listed, ...]

    @property
    def packages(self) -> tuple[Packaged, ...]:
        """All of them."""
        return (*self.built, *self.reused)


@dataclass(frozen=True, slots=True)
class _Made:
    path: Path
    fields: PackageFields
    remembered: Path | None = None
    """Where a layer is kept for the next release, signed."""
    signed: bool = False


class Builder:
    """Builds into ``work``, a folder of this run; keeps signed shared layers, which take longest, in ``cache``.

    Without a signer the packages stay unsigned, and nothing is kept.
    """

    def __init__(
        self,
        payload: Payload,
        release: Release,
        signer: Signer | None,
        *,
        work: Path,
        cache: Path,
        progress: Progress,
        allowed: Collection[str] = (),
    ) -> None:
        """``allowed`` names the ready packages that devices take from this repository."""
        self._payload = payload
        self._release = release
        self._signer = signer
        self._work = work
        self._cache = cache / signer.fingerprint if signer else None
        self._progress = progress
        self._allowed = {release.name, *allowed}
        self._finished: dict[Path, BuiltDeb] = {}

    def build(self, resolved: Mapping[Target, Resolved | None], repository: Repository) -> list[TargetPackages]:
        """Build, sign and read back. Raises ``PkgbuildError``."""
        made: dict[Target, list[_Made]] = {target: [] for target in resolved}
        reused: dict[Target, list[Listed]] = {target: [] for target in resolved}
        debs = self._ready(resolved)
        if isinstance(self._payload.file.payload, Deb):
            self._progress.step(f"preparing {self._doing} {self._release.name} {self._release.version}")
        else:
            self._shared_layers(resolved, repository, made, reused)
            self._progress.step(f"building {self._doing} {self._release.name} {self._release.version}")
            self._own_packages(resolved, made)
        packages = []
        for target in resolved:
            built = [self._finished[one.path] for one in made[target]]
            for one in debs[target]:
                finished = self._finish_ready(one)
                listed = None if one.package == self._release.name else repository.find_ready(finished, target.debian)
                if listed is None:
                    built.append(finished)
                else:
                    reused[target].append(listed)
            packages.append(TargetPackages(target, tuple(built), tuple(reused[target])))
        return packages

    @property
    def _doing(self) -> str:
        return "and signing" if self._signer else "unsigned"

    def _shared_layers(
        self,
        resolved: Mapping[Target, Resolved | None],
        repository: Repository,
        made: dict[Target, list[_Made]],
        reused: dict[Target, list[Listed]],
    ) -> None:
        for target, found in resolved.items():
            for listed_or_made in (*self._asset_layers(target, repository), *self._deps(target, found, repository)):
                if isinstance(listed_or_made, _Made):
                    made[target].append(listed_or_made)
                else:
                    reused[target].append(listed_or_made)

    def _own_packages(self, resolved: Mapping[Target, Resolved | None], made: dict[Target, list[_Made]]) -> None:
        """Build the app layers and ``NAME``, finish all packages: beside each other, one on each processor."""
        epoch = release_epoch(self._payload.folder)
        with self._progress.working("packing and checking"), ThreadPoolExecutor(os.cpu_count()) as pool:
            shared = {one.path: one for each in made.values() for one in each}
            finishing = [pool.submit(self._finish, one) for one in shared.values()]
            building = {
                (target, stage): pool.submit(self._build, target, found, stage, epoch)
                for target, found in resolved.items()
                for stage in (self._stage_app, layers.stage_service)
            }
            for (target, _), future in building.items():
                made[target].append(future.result())
            for finished in finishing:
                finished.result()
        for target in resolved:
            for one in made[target][-2:]:
                self._tell(str(target), one.path)

    def _build(self, target: Target, found: Resolved | None, stage: Stage, epoch: int) -> _Made:
        tree, deps = self._tree(target.slug), found.lock.identity(target) if found else None
        staged = stage(self._payload, self._release, target, deps, tree=tree, epoch=epoch)
        made = self._pack(self._out(target), tree, staged, epoch)
        self._finish(made)
        return made

    def _stage_app(
        self, payload: Payload, release: Release, target: Target, deps: str | None, *, tree: Path, epoch: int
    ) -> tuple[PackageFields, Documents]:
        return layers.stage_app(payload, release, target, deps, tree=tree, epoch=epoch, say=self._progress.detail)

    def _ready(self, targets: Iterable[Target]) -> dict[Target, list[ReadyDeb]]:
        """The ready packages of each target, checked; ``NAME`` among them with its update fields."""
        kind, folder = self._payload.file.payload, self._payload.folder
        own = kind.files if isinstance(kind, Deb) else ()
        patterns = (*own, *self._payload.file.packages)
        self._progress.step("building the layers that releases share" if not own else "reading the ready packages")
        found: dict[Target, list[ReadyDeb]] = {}
        for target in targets:
            debs = ready.find(folder, patterns, target) if patterns else []
            ready.check_allowed(debs, self._allowed)
            if own:
                released = ready.of_release(debs, self._release, target)
                stamped = ready.stamped(released, self._release, self._work / "stamped" / target.slug)
                debs = [stamped if one is released else one for one in debs]
            for one in debs:
                self._progress.detail(f"{target}: {one.fields.file_name}, as it is")
            found[target] = debs
        return found

    def _asset_layers(self, target: Target, repository: Repository) -> list[_Made | Listed]:
        found: list[_Made | Listed] = []
        for layer in {one.identity: one for one in assets.find(self._payload)}.values():
            fields = control.asset_fields(self._payload.file, layer.name, layer.identity)
            shared = self._shared(fields, f"{target}", target.debian, repository, self._out(None))
            if shared is None:
                tree = self._tree("asset")
                staged = assets.stage(self._payload, layer, tree=tree, epoch=LAYER_EPOCH)
                compress = assets.worth_compressing(layer)
                with self._progress.working(f"{target}: packing {fields.package}"):
                    shared = self._pack(self._out(None), tree, staged, LAYER_EPOCH, compress=compress)
                self._tell(str(target), shared.path)
            found.append(shared)
        return found

    def _deps(self, target: Target, found: Resolved | None, repository: Repository) -> list[_Made | Listed]:
        if found is None:
            return []
        fields = layers.deps_fields(self._payload, target, found)
        shared = self._shared(fields, f"{target}", target.debian, repository, self._out(target))
        if shared is None:
            tree = self._tree(target.slug)
            with self._progress.working(f"{target}: unpacking wheels"):
                staged = layers.stage_deps(self._payload, target, found, tree=tree, epoch=LAYER_EPOCH)
            with self._progress.working(f"{target}: packing {fields.package}"):
                shared = self._pack(self._out(target), tree, staged, LAYER_EPOCH)
            self._tell(str(target), shared.path)
        return [shared]

    def _shared(
        self, fields: PackageFields, where: str, debian: str, repository: Repository, out: Path
    ) -> _Made | Listed | None:
        """A layer that need not be built: published, built a moment ago for another target, or by a release before."""
        if listed := repository.find_layer(fields.package, debian, fields.architecture):
            size = human_size(listed.size)
            self._progress.detail(f"{where}: {fields.package} is already in the repository ({size})")
            return listed
        path = out / fields.file_name
        if path.is_file():
            return _Made(path, fields, self._remembered(out, fields))
        remembered = self._remembered(out, fields)
        if remembered is None or not remembered.is_file():
            return None
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(remembered, path)
        self._progress.detail(f"{where}: {path.name} {human_size(path.stat().st_size)}, built before")
        return _Made(path, fields, remembered, signed=True)

    def _pack(
        self, out: Path, tree: Path, staged: tuple[PackageFields, Documents], epoch: int, *, compress: bool = True
    ) -> _Made:
        fields, documents = staged
        about = control.About.of(self._payload.file)
        path = deb.build(tree, fields, about, documents, out=out, epoch=epoch, compress=compress)
        shared = versions.is_shared_layer(fields.package)
        return _Made(path, fields, self._remembered(out, fields) if shared else None)

    def _tell(self, where: str, path: Path) -> None:
        self._progress.detail(f"{where}: {path.name} {human_size(path.stat().st_size)}")

    def _finish(self, made: _Made) -> None:
        """Sign the package, check the signature as a device does, and read every byte back."""
        if self._signer:
            if not made.signed:
                self._signer.sign(made.path)
            self._signer.verify(made.path)
        built = deb.read_back(made.path, made.fields)
        if made.remembered is not None and not made.signed:
            made.remembered.parent.mkdir(parents=True, exist_ok=True)
            partial = made.remembered.with_suffix(".partial")
            shutil.copyfile(made.path, partial)
            partial.replace(made.remembered)
        self._finished[made.path] = built

    def _finish_ready(self, one: ReadyDeb) -> BuiltDeb:
        if (finished := self._finished.get(one.path)) is None:
            if self._signer:
                # one that is no part of this release alone is signed once and for all
                shared = one.package != self._release.name
                finished = ready.signed(one, self._signer.lasting() if shared else self._signer, self._out(None))
            else:
                finished = deb.as_built(one.path, one.fields)
            self._finished[one.path] = finished
        return finished

    def _remembered(self, out: Path, fields: PackageFields) -> Path | None:
        return self._cache / out.name.partition("-")[0] / fields.file_name if self._cache else None

    def _tree(self, prefix: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self._work))

    def _out(self, target: Target | None) -> Path:
        return self._work / "debs" / (target.slug if target else "all")
