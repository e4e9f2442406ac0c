"""What is in the packages of one target: the right machine, marked where it takes ARMv7, and its documents."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from debian.deb822 import Deb822

from pkgbuild import elf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pkgbuild.targets import Target

_ARMV7 = 10


def wrong(debs: Sequence[Path], target: Target, work: Path, *, compiled: bool, layered: bool) -> Iterator[str]:
    """A sentence for everything that is not as it should be; ``work`` is an empty folder."""
    found = 0
    for deb in debs:
        tree = work / deb.stem
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True, capture_output=True)
        fields = Deb822((tree / "DEBIAN/control").read_text(encoding="utf-8"))
        if fields["Architecture"] not in {target.architecture, "all"}:
            yield f"{deb.name} is for {fields['Architecture']}"
        files = list(elf.files(tree))
        found += len(files)
        yield from (
            f"{deb.name}: {path.relative_to(tree)} is for {one.architecture}"
            for path, one in files
            if one.architecture != target.architecture
        )
        marked, armv7 = fields.get("Update-Machine") == "armv7l", any(one.arm_version == _ARMV7 for _, one in files)
        if marked != armv7:
            yield f"{deb.name} is {'' if marked else 'not '}marked as ARMv7, and it is the other way round"
        if layered:
            yield from _undocumented(tree, deb.name, fields)
    if compiled != (found > 0):
        yield f"{found} compiled files for {target}"


def _undocumented(tree: Path, name: str, fields: Deb822) -> Iterator[str]:
    docs = tree / "usr/share/doc" / fields["Package"]
    if not (docs / "copyright").is_file() or not list(docs.glob("changelog*.gz")):
        yield f"{name} has no changelog or no copyright"
    sums = (tree / "DEBIAN/md5sums").read_text(encoding="utf-8").splitlines()
    own = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    if len(sums) != len([path for path in own if not path.is_relative_to(tree / "DEBIAN")]):
        yield f"{name}: md5sums does not name every file"


def lintian(debs: Sequence[Path]) -> Iterator[str]:
    """lintian's errors and warnings."""
    words = ["lintian", "--allow-root", "--no-cfg", "--fail-on", "error,warning", *map(str, debs)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:"))]
    yield from said
    if done.returncode and not said:
        yield f"lintian ended with {done.returncode}: {done.stderr.strip()}"
