"""What installing exactly one granted version means: which packages, from where, how large. Worked out by libapt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import apt_pkg

from pi_hook.apt_errors import StepError
from pi_hook.apt_session import AptSession, origins, our_file
from pi_hook.names import is_ours
from pi_hook.ports import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_REINSTALL = frozenset({apt_pkg.INSTSTATE_REINSTREQ, apt_pkg.INSTSTATE_HOLD_REINSTREQ})
_HALF_INSTALLED = apt_pkg.CURSTATE_HALF_INSTALLED  # type: ignore[attr-defined]  # python-apt's stub lacks it


@dataclass(frozen=True, slots=True)
class Planned:
    """One package of the transaction."""

    package: str
    version: str
    architecture: str
    ours: bool
    origins: tuple[str, ...]
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """The name apt gives its .deb in the cache."""
        return f"{quote(self.package, '_:')}_{quote(self.version, '_:')}_{quote(self.architecture, '_:.')}.deb"


def quote(text: str, special: str) -> str:
    """Quote as apt does in file names."""
    return "".join(f"%{ord(c):02x}" if c in special or c == "%" or not c.isprintable() else c for c in text)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole transaction; empty where the granted version is installed already."""

    packages: tuple[Planned, ...]
    unpacked_bytes: int
    """What the installed system grows by; negative where it shrinks."""

    @property
    def names(self) -> tuple[str, ...]:
        """The exact names, for the strict list of unattended-upgrades."""
        return tuple(planned.package for planned in self.packages)

    @property
    def origins(self) -> tuple[str, ...]:
        """All origins the packages come from."""
        return tuple(sorted({origin for planned in self.packages for origin in planned.origins}))


class Transaction:
    """Marks the granted version in a session's cache. Raises ``StepError`` where it cannot be installed."""

    def __init__(self, session: AptSession) -> None:
        self._session = session
        self.depcache = apt_pkg.DepCache(session.cache)
        name, version = session.run.name, session.run.version
        unknown = StepError(
            Problem.NOT_PUBLISHED, f"{name} {version} is not in the signed lists of our repository; refresh first"
        )
        if name not in session.cache:
            raise unknown
        package = session.cache[name]
        granted = next((v for v in package.version_list if v.ver_str == version and our_file(v)), None)
        if granted is None:
            raise unknown
        if package.selected_state == apt_pkg.SELSTATE_HOLD:
            raise StepError(Problem.DEPENDENCY_BLOCKED, f"{name} is held back by `apt-mark hold`; unhold it")
        if package.current_ver and apt_pkg.version_compare(package.current_ver.ver_str, version) > 0:
            raise StepError(
                Problem.DEPENDENCY_BLOCKED, f"{name} {package.current_ver.ver_str} is installed, newer than {version}"
            )
        self.depcache.set_candidate_ver(package, granted)
        self.depcache.mark_install(package, True, True)
        self._mark_cut_off(name)
        installed = package.current_ver is not None and package.current_ver.ver_str == version
        self._require(f"{name} {version}", granted, marked=installed or self._changed(package))

    def _mark_cut_off(self, name: str) -> None:
        """Have what an interruption left half on the disk fetched and installed again."""
        for package in self._session.cache.packages:
            version = package.current_ver
            cut_off = package.inst_state in _REINSTALL or package.current_state == _HALF_INSTALLED
            if cut_off and version and is_ours(name, package.name) and our_file(version):
                self.depcache.set_reinstall(package, True)  # type: ignore[attr-defined]  # python-apt's stub lacks it

    def _changed(self, package: apt_pkg.Package) -> bool:
        marks = (self.depcache.marked_install, self.depcache.marked_upgrade, self.depcache.marked_reinstall)
        return any(marked(package) for marked in marks)

    def _require(self, what: str, granted: apt_pkg.Version, *, marked: bool) -> None:
        # Where it finds no way libapt marks nothing, quietly.
        if self.depcache.broken_count or not marked:
            why = "; ".join(self._unmet(granted, set())) or "its dependencies contradict each other"
            raise StepError(Problem.DEPENDENCY_BLOCKED, f"{what} cannot be installed: {why}")
        removed = [p.get_fullname(True) for p in self._session.cache.packages if self.depcache.marked_delete(p)]
        if removed:
            raise StepError(Problem.DEPENDENCY_BLOCKED, f"{what} would remove {', '.join(removed)}")

    def _unmet(self, version: apt_pkg.Version, seen: set[int]) -> Iterator[str]:
        """What a version needs, itself or through what it needs, that is not to be had."""
        seen.add(version.id)
        for kind in ("PreDepends", "Depends"):
            for alternatives in version.depends_list.get(kind, []):
                targets = [target for dependency in alternatives for target in dependency.all_targets()]
                if any(target.parent_pkg.current_ver == target for target in targets):
                    continue
                if not targets:
                    yield f"{version.parent_pkg.name} needs {_words(alternatives)}, which is not to be had"
                elif targets[0].id not in seen:
                    yield from self._unmet(targets[0], seen)

    def plan(self) -> Plan:
        """The marked packages."""
        return Plan(tuple(self._planned()), int(self.depcache.usr_size))

    def _planned(self) -> Iterator[Planned]:
        records = self._session.records
        for package in self._session.cache.packages:
            if not self._changed(package):
                continue
            version = self.depcache.get_candidate_ver(package)
            assert version is not None  # noqa: S101 - what is marked has a candidate
            ours = our_file(version)
            entry = ours or next(iter(version.file_list))
            records.lookup(entry)
            sha256 = str(records.hashes.find("SHA256")).rpartition(":")[2]
            yield Planned(
                package.name, version.ver_str, version.arch, bool(ours), tuple(origins(version)), sha256, version.size
            )

    def prepare(self, fetcher: apt_pkg.Acquire) -> None:
        """Queue the .debs that the cache does not hold yet. Raises ``StepError`` where one has no address."""
        # Kept as long as we live: the fetcher's items write into it, and python-apt does not hold it for them.
        self._manager = apt_pkg.PackageManager(self.depcache)
        try:
            self._manager.get_archives(fetcher, self._session.sources, self._session.records)
        except SystemError as error:
            raise StepError(Problem.NOT_PUBLISHED, f"a package of the release has no address: {error}") from error


def _words(alternatives: list[apt_pkg.Dependency]) -> str:
    return " | ".join(
        f"{d.target_pkg.name} ({d.comp_type} {d.target_ver})" if d.target_ver else d.target_pkg.name
        for d in alternatives
    )
