"""The package built as Debian's builders do it: a clean clone, the build dependencies of debian/control, no network.

As an ordinary user in a system that has build-essential and nothing that the package asks for.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.debian_package import previous
from tests.support.apt_root import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.debian_package.previous import Previous
    from tests.support.apt_root import AptRoot

HOME = "/home/builder"
# Another umask and time zone, no network: nothing of these may get into the package.
_BUILD = """\
set -e
umask "$1"
export TZ="$2" LC_ALL="$3" HOME=/home/builder USER=builder
cd "$4"
shift 4
exec setpriv --reuid builder --regid builder --init-groups "$@"
"""
_PARTS = (
    re.compile(r"LICENSE"),
    re.compile(r"debian/.*"),
    re.compile(r"pi_hook/\w+\.py"),
    re.compile(r"docs/INTERFACES\.md"),
    re.compile(r"tests/(__init__|conftest)\.py"),
    re.compile(r"tests/contract/.*"),
    re.compile(r"tests/unit/(__init__\.py|pi_hook(_hands)?/\w+\.py)"),
    re.compile(r"tests/property/(__init__|test_pi_hook_\w+)\.py"),
    re.compile(r"tests/support/(__init__|campaign|pi_hook_fakes|proxy|zones)\.py"),
)
"""What the source package may hold."""


@dataclass(frozen=True, slots=True)
class Built:
    """What one run of dpkg-buildpackage has made."""

    folder: Path
    changes: Path
    dsc: Path
    deb: Path

    @property
    def tar(self) -> Path:
        """The source itself."""
        return next(self.folder.glob("pi-hook_*.tar.xz"))

    @property
    def names(self) -> list[str]:
        """All its files."""
        return sorted(path.name for path in self.folder.iterdir())


class BuildFailedError(RuntimeError):
    """A program of the build ended with another status than 0; its last words."""


def clone(into: Path) -> None:
    """A clean clone of what is committed, owned by the system's builder."""
    with tempfile.NamedTemporaryFile("w", suffix=".gitconfig") as settings:
        # The checkout may belong to another user than root, who runs this.
        settings.write("[safe]\n\tdirectory = *\n")
        settings.flush()
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": settings.name}
        subprocess.run(["git", "clone", "--quiet", CHECKOUT, into], check=True, env=environment)


class Builder:
    """A system of ``systems.for_building`` with a user of its own."""

    def __init__(self, system: AptRoot) -> None:
        self.system = system
        _checked(system, "useradd", "--create-home", "builder")

    def place(self, name: str) -> Path:
        """A folder in the builder's home, as this machine sees it."""
        return self.system.path / HOME.lstrip("/") / name

    def bring_dependencies(self, name: str) -> list[str]:
        """Install what debian/control of the source in ``name`` asks for, and nothing else; the new packages."""
        _checked(self.system, "apt-get", "update")
        words = ["apt-get", "build-dep", "--yes", "--no-install-recommends", f"{HOME}/{name}"]
        said = _checked(self.system, *words)
        return sorted(set(re.findall(r"^Setting up (\S+) ", said, re.MULTILINE)))

    def build(self, name: str, *options: str, umask: str = "022", zone: str = "UTC") -> Built:
        """Run dpkg-buildpackage in the source ``name``; its files stay beside it. Raises ``BuildFailedError``."""
        self._own()
        where = f"{HOME}/{name}"
        words = ["dpkg-buildpackage", "-us", "-uc", *options]
        shell = ["unshare", "--net", "sh", "-c", _BUILD, "sh", umask, zone, "C.UTF-8", where]
        _checked(self.system, *shell, *words)
        folder = self.place(name).parent
        found = [next(folder.glob(f"pi-hook_*{end}"), folder / "none") for end in (".changes", ".dsc", "_all.deb")]
        return Built(folder, *found)

    def extract(self, dsc: Path, name: str) -> None:
        """Unpack a source package of this system to ``name``."""
        self.place(name).parent.mkdir(parents=True)
        inside = f"/{dsc.relative_to(self.system.path)}"
        _checked(self.system, "dpkg-source", "--extract", inside, f"{HOME}/{name}")

    def build_previous(self, chosen: Previous) -> Path:
        """The package to upgrade from."""
        previous.unpack(CHECKOUT, chosen, self.place("previous/pi-hook"))
        return self.build("previous/pi-hook", "--build=binary").deb

    def _own(self) -> None:
        _checked(self.system, "chown", "--recursive", "builder:builder", HOME)


def superfluous(source: Path) -> list[str]:
    """What a source package (the .tar.xz) holds beyond the agent, its packaging and its tests."""
    with tarfile.open(source) as opened:
        names = [member.name.partition("/")[2] for member in opened if not member.isdir()]
    return [name for name in names if not any(part.fullmatch(name) for part in _PARTS)]


def sha256(path: Path) -> str:
    """The sum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def take(built: Built, folder: Path) -> Built:
    """Copy what was built out of its system."""
    folder.mkdir(parents=True)
    wanted = [built.changes, built.dsc, built.deb, built.tar, *built.folder.glob("pi-hook_*.buildinfo")]
    for path in wanted:
        shutil.copy(path, folder / path.name)
    return Built(folder, *(folder / path.name for path in (built.changes, built.dsc, built.deb)))


def _checked(system: AptRoot, *command: str) -> str:
    done = system.run(*command, check=False)
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise BuildFailedError(f"{' '.join(command[:3])} ended with {done.returncode}:\n{tail}")
    return done.stdout
