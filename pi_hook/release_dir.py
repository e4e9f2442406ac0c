"""The release directories of the assistant and ``current``, the link that says which of them runs."""

from __future__ import annotations

import functools
import json
import logging
import os
from typing import TYPE_CHECKING, Any

from pi_hook import apt_config, outside
from pi_hook.apt_source import KEEP
from pi_hook.dpkg import compare_versions, layers_in_depends, query
from pi_hook.files import Root, sync_folder, write_atomic
from pi_hook.names import app_package, asset_package, checked_name, deps_package, exact_pattern, is_layer
from pi_hook.ports import STARTING_SECONDS, ReleaseError, ReleaseTerms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_log = logging.getLogger(__name__)

_PURGE_SECONDS = 900


class ReleaseDir:
    """``ports.Releases`` over ``/usr/lib/NAME`` and ``/var/lib/NAME``."""

    def __init__(self, name: str, root: Root | None = None) -> None:
        self.name = checked_name(name)
        self._root = root or Root()

    @property
    def _current(self) -> Path:
        return self._root.at(f"/var/lib/{self.name}/current")

    def folder(self, version: str) -> Path:
        """The release directory of a version."""
        return self._root.at(self._target(version))

    def _target(self, version: str) -> str:
        return f"/usr/lib/{self.name}/releases/{version}"

    def versions(self) -> list[str]:
        """The versions that have a release directory, complete or not, highest first."""
        try:
            found = [entry.name for entry in self._root.at(f"/usr/lib/{self.name}/releases").iterdir()]
        except FileNotFoundError:
            return []
        return sorted(found, key=functools.cmp_to_key(compare_versions), reverse=True)

    def present(self) -> list[str]:
        """The versions that are complete here, highest first."""
        return [version for version in self.versions() if self.complete(version)]

    def active(self) -> str | None:
        """The version that ``current`` names and that is complete; None where missing, dangling or incomplete."""
        version = self.named()
        return version if version is not None and self.complete(version) else None

    def named(self) -> str | None:
        """The version that ``current`` names, whether it is complete or not; None where it names none."""
        try:
            target = str(self._current.readlink())
        except OSError:
            return None
        version = target.rpartition("/")[2]
        return version if target == self._target(version) else None

    def complete(self, version: str) -> bool:
        """Whether the release directory and its layers are wholly there."""
        return self._lack(version) is None

    def _lack(self, version: str) -> str | None:
        """What a version lacks to be run, as words; None where it is complete."""
        try:
            record = read_record(self.folder(version))
        except ValueError as error:
            return str(error)
        if (record.get("name"), record.get("version")) != (self.name, version):
            return "its release.json is of another release"
        run = self.folder(version) / "run"
        if not (run.is_file() and os.access(run, os.X_OK)):
            return "its launcher `run` is missing"
        packages, links = _layers(self.name, version, record)
        for link in links:
            if not (self.folder(version) / link).is_dir():
                return f"its `{link}` leads nowhere"
        whole = {state.package for state in query(self._root, *packages) if state.whole}
        if lacking := packages - whole:
            return f"dpkg does not have {', '.join(sorted(lacking))} wholly installed"
        return None

    def terms(self, version: str) -> ReleaseTerms:
        """What the release asks of its activation and of the way back; nothing where its record cannot be read."""
        try:
            record = read_record(self.folder(version))
            hooks, oldest = record.get("hooks") or {}, record.get("oldest_rollback")
            health = record.get("health") or {}
            return ReleaseTerms(
                before_activation=hooks.get("before_activation") is not None,
                after_rollback=hooks.get("after_rollback") is not None,
                oldest_rollback=None if oldest is None else str(oldest),
                starting_seconds=float(health.get("starting_seconds", STARTING_SECONDS)),
            )
        except (ValueError, AttributeError, TypeError):
            return ReleaseTerms()

    def activate(self, version: str) -> None:
        """Sync, point ``current`` at the version by one rename, sync the folder. Raises ``ReleaseError``."""
        if why := self._lack(version):
            raise ReleaseError(f"{self.name} {version} cannot be activated: {why}; install it again")
        link = self._current
        try:
            # All of the release must be on the disk before anything names it: a cut after the rename must find it.
            os.sync()
            link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            new = link.with_name(".current.new")
            new.unlink(missing_ok=True)
            new.symlink_to(self._target(version))
            new.replace(link)
            sync_folder(link.parent)
        except OSError as error:
            raise ReleaseError(f"{link} cannot be pointed at {version}: {error}") from error

    def protect(self, versions: frozenset[str]) -> None:
        """Name the layers of these versions to apt as never to be auto-removed, exactly and durably.

        A pattern would also keep the layers of versions that are long gone.
        """
        packages = sorted({package for version in versions for package in self._layers_of(version)})
        lines = "".join(f'  "{exact_pattern(package)}";\n' for package in packages)
        write_atomic(
            self._root.at(KEEP),
            "// Written by pi-hook: the layers of the active and of the last good release.\n"
            f"APT::NeverAutoRemove {{\n{lines}}};\n",
        )

    def _layers_of(self, version: str) -> set[str]:
        app = app_package(self.name, version)
        try:
            record = read_record(self.folder(version))
        except ValueError:
            record = {}
        packages, _ = _layers(self.name, version, record)
        return packages | layers_in_depends(self._root, self.name, app)

    def layers_in_use(self, versions: Iterable[str]) -> set[str]:
        """The packages of these versions' layers and of those that the installed ``NAME`` depends on."""
        used = {package for version in versions for package in self._layers_of(version)}
        # With its own layers the installed NAME depends on those of its app layer.
        own = layers_in_depends(self._root, self.name, self.name)
        return used | own | {layer for package in own for layer in layers_in_depends(self._root, self.name, package)}

    def remove_others(self, keep: frozenset[str]) -> list[str]:
        """Remove the layers of all other versions, and their cached .debs; returns the package names removed.

        Never what ``current`` names nor what the installed ``NAME`` depends on. Where dpkg is busy or refuses, nothing
        is lost: the log says so and the next call tries again.
        """
        name = self.name
        kept_versions = keep | ({active} if (active := self.active()) else set())
        kept = self.layers_in_use(kept_versions)
        patterns = (f"{name}-{kind}-*" for kind in ("app", "deps", "asset"))
        present = {s.package for s in query(self._root, *patterns) if s.status != "not-installed"}
        others = sorted(package for package in present - kept if is_layer(name, package))
        removed = self._purge(others) if others else []
        self._forget_debs(kept, kept_versions)
        return removed

    def _purge(self, packages: list[str]) -> list[str]:
        at_root = [] if str(self._root.path) == "/" else [f"--root={self._root.path}"]
        done = outside.run(["dpkg", *at_root, "--purge", *packages], seconds=_PURGE_SECONDS)
        left = {s.package for s in query(self._root, *packages) if s.status != "not-installed"}
        if left:
            _log.warning("dpkg kept %s: %s", ", ".join(sorted(left)), done.output.strip()[-500:])
        return [package for package in packages if package not in left]

    def _forget_debs(self, kept: set[str], versions: frozenset[str]) -> None:
        """Drop cached .debs of our layers and of ``NAME`` that no repair will need."""
        name = self.name
        installed = {s.version for s in query(self._root, name) if s.present}
        heads = {f"{name}_{version.replace(':', '%3a')}" for version in versions | installed}
        for deb in self._root.at(apt_config.ARCHIVES).glob("*.deb"):
            package = deb.name.partition("_")[0]
            old_layer = is_layer(name, package) and package not in kept
            old_head = package == name and deb.name.rpartition("_")[0] not in heads
            if old_layer or old_head:
                deb.unlink(missing_ok=True)


def _layers(name: str, version: str, record: dict[str, Any]) -> tuple[set[str], list[str]]:
    """The packages that a release consists of by its record, and the links in its folder that lead to them."""
    packages, links = {app_package(name, version)}, []
    if deps := record.get("deps"):
        packages.add(deps_package(name, str(deps)))
        links.append("deps")
    assets = record.get("assets")
    for asset, identity in assets.items() if isinstance(assets, dict) else ():
        packages.add(asset_package(name, str(identity)))
        links.append(f"assets/{asset}")
    return packages, links


def read_record(folder: Path) -> dict[str, Any]:
    """``release.json`` of a release directory. Raises ``ValueError`` with words for people."""
    path = folder / "release.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != 1:
        raise ValueError(f"{path} is of a form this agent does not know")
    return record
