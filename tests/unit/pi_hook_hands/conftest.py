"""A small root folder with a dpkg database, and stand-ins for systemd's programs on PATH."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pi_hook.files import Root
from pi_hook.names import app_package, deps_package

if TYPE_CHECKING:
    from pathlib import Path

NAME = "sample-assistant"


class SmallRoot:
    """Release directories and dpkg's status file, written by hand."""

    def __init__(self, path: Path) -> None:
        self.root = Root(path)
        self.path = path
        self._stanzas: dict[str, str] = {}
        (path / "var/lib/dpkg/info").mkdir(parents=True)
        (path / "var/lib/dpkg/updates").mkdir()
        self._write()

    def _write(self) -> None:
        new = self.path / "var/lib/dpkg/status-new"  # renamed into place, as dpkg does
        new.write_text("\n".join(self._stanzas.values()))
        new.rename(self.path / "var/lib/dpkg/status")

    def package(self, name: str, version: str, status: str = "install ok installed", depends: str = "") -> None:
        lines = [f"Package: {name}", f"Status: {status}", f"Version: {version}", "Architecture: all"]
        lines += ["Maintainer: nobody", "Description: x", *([f"Depends: {depends}"] if depends else [])]
        self._stanzas[name] = "\n".join(lines) + "\n"
        self._write()

    def forget(self, name: str) -> None:
        del self._stanzas[name]
        self._write()

    def release(self, version: str, deps: str | None = "0123456789ab", **record: object) -> Path:
        folder = self.path / f"usr/lib/{NAME}/releases/{version}"
        folder.mkdir(parents=True)
        content = {
            "schema": 1,
            "name": NAME,
            "version": version,
            "deps": deps,
            "health": None,
            "environment": {},
            **record,
        }
        (folder / "release.json").write_text(json.dumps(content))
        (folder / "run").write_text("#!/bin/sh\n")
        (folder / "run").chmod(0o755)
        if deps:
            (self.path / f"usr/lib/{NAME}/deps/{deps}").mkdir(parents=True, exist_ok=True)
            (folder / "deps").symlink_to(f"../../deps/{deps}")
            self.package(deps_package(NAME, deps), "1")
        self.package(app_package(NAME, version), version, depends=deps_package(NAME, deps) if deps else "")
        return folder


@pytest.fixture
def small(tmp_path: Path) -> SmallRoot:
    return SmallRoot(tmp_path / "root")


class Programs:
    """Programs that come first on PATH; each call is noted in ``calls``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "calls"
        self._log.touch()

    def put(self, name: str, script: str) -> None:
        program = self._folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._log}\n{script}\n')
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Programs(folder)
