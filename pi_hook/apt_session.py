"""python-apt for one step: opened in the step's own process, over the configuration that ``apt_config`` wrote."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import apt_pkg

from pi_hook import apt_config
from pi_hook.apt_errors import StepError, cause
from pi_hook.apt_source import ORIGIN
from pi_hook.dpkg import compare_versions
from pi_hook.ports import Problem

if TYPE_CHECKING:
    from pi_hook.files import Root


class AptSession:
    """One opened package cache. Raises ``StepError`` where apt cannot open it."""

    def __init__(self, run: apt_config.Run, root: Root) -> None:
        self.run = run
        os.environ.update(apt_config.environment())
        os.environ["APT_CONFIG"] = apt_config.write(run, root)
        # A second session of one process must not inherit the settings of the first.
        for key in apt_pkg.config.keys():  # noqa: SIM118 - not a dict
            apt_pkg.config.clear(key)
        try:
            apt_pkg.init_config()
            apt_pkg.init_system()
            self.sources = apt_pkg.SourceList()
            self.sources.read_main_list()
            self.cache = apt_pkg.Cache(None)
        except SystemError as error:  # apt_pkg.Error is one
            found = cause(str(error), Problem.DPKG_FAILED)
            raise StepError(found.problem, f"apt cannot read its lists or dpkg's database: {found.line}") from error
        self.records = apt_pkg.PackageRecords(self.cache)

    def versions(self, name: str) -> list[OfferedVersion]:
        """The versions of a package in our repository's verified lists, lowest first."""
        if name not in self.cache:
            return []
        found = []
        for version in self.cache[name].version_list:
            if (file := our_file(version)) and self.records.lookup(file):
                section = apt_pkg.TagSection(self.records.record)
                urgency = section.get("Update-Urgency", "").strip().lower()
                minimum = section.get("Update-Minimum-Agent", "").strip() or None
                found.append(OfferedVersion(_Key(version.ver_str), urgency, minimum))
        return sorted(found, key=lambda offered: offered.key)

    def signed_at(self) -> datetime | None:
        """The ``Date`` of our verified ``InRelease`` (aware, UTC); None where it cannot be read."""
        lists = Path(apt_pkg.config.find_dir("Dir::State::lists"))
        for index in self.sources.list:
            name = apt_pkg.uri_to_filename(f"{index.uri.rstrip('/')}/dists/{index.dist}/InRelease")
            try:
                head = (lists / name).read_text(encoding="utf-8").partition("\nSHA256:")[0]
                dates = [line[5:].strip() for line in head.splitlines() if line.startswith("Date:")]
                return parsedate_to_datetime(dates[0]).astimezone(UTC)
            except (OSError, ValueError, IndexError):
                continue
        return None

    def installed_version(self, name: str) -> str | None:
        """The version that dpkg has of a package, in whatever state."""
        current = self.cache[name].current_ver if name in self.cache else None
        return current.ver_str if current else None


class _Key:
    """A version that sorts as dpkg sorts."""

    def __init__(self, version: str) -> None:
        self.version = version

    def __lt__(self, other: _Key) -> bool:
        return compare_versions(self.version, other.version) < 0


@dataclass(frozen=True, slots=True)
class OfferedVersion:
    """A version in the signed lists with what its record carries for us."""

    key: _Key
    urgency: str
    minimum_agent: str | None
    """The oldest pi-hook that may install it; None where it does not ask for one."""

    @property
    def version(self) -> str:
        """As text."""
        return self.key.version


def our_file(version: apt_pkg.Version) -> tuple[apt_pkg.PackageFile, int] | None:
    """The entry of a version in our repository's list, if it is there."""
    return next(((file, index) for file, index in version.file_list if file.origin == ORIGIN), None)


def origins(version: apt_pkg.Version) -> list[str]:
    """The origins that offer a version (dpkg's own database left out)."""
    return sorted({file.origin for file, _ in version.file_list if file.index_type != "Debian dpkg status file"})
