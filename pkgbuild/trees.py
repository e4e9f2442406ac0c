"""Copying what a builder gives into a package's tree: ordinary files and links that stay inside, nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Ignore = Callable[[str, list[str]], list[str]]
    """As ``shutil.copytree`` takes it: a folder and the names in it -> the names that are left out."""


def copy(root: Path, folder: Path, ignore: Ignore) -> None:
    """Copy ``root`` to ``folder``. Raises ``BAD_INPUT`` for sockets and for links that lead out of ``root``."""
    for _ in walk(root, ignore):
        pass
    shutil.copytree(root, folder, symlinks=True, ignore=ignore)


def walk(root: Path, ignore: Ignore | None = None) -> Iterator[Path]:
    """Every file and link of ``root`` that is not left out, checked as ``copy`` does, in no particular order."""
    for where, folders, names in os.walk(root):
        skipped = set(ignore(where, folders + names)) if ignore else set()
        folders[:] = [name for name in folders if name not in skipped]
        for name in {*folders, *names} - skipped:
            path = Path(where) / name
            _check(path, root)
            if path.is_symlink() or not path.is_dir():
                yield path


def _check(path: Path, root: Path) -> None:
    if path.is_symlink():
        if path.readlink().is_absolute() or not path.resolve().is_relative_to(root) or not path.exists():
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{path} is a link that leads out of the payload: put what it names in its place.",
            )
    elif not path.is_dir() and not path.is_file():
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} is no ordinary file: remove it, or name it in `exclude`.")
