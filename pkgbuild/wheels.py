"""Choosing and unpacking wheels for a target on any builder machine, by uv: nothing is ever compiled or run here."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import ToolError, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgbuild.targets import Target

_NO_SOLUTION = 1
"""uv's exit status where the index answered but nothing fits; 2 is any other failure."""


def uv() -> str:
    """The uv of our own locked requirements, else the one in PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if beside.exists() else "uv"


def compile_lock(
    requirements: Sequence[str],
    target: Target,
    *,
    without: str | None = None,
    previous: Path | None = None,
    dependencies: bool = True,
) -> str:
    """Resolve ``requirements`` for ``target`` and return the pins with hashes, as a requirements file without a header.

    ``without`` names a project left out of the answer (a wheel payload itself); the versions in ``previous`` are kept
    where they still fit. Without ``dependencies`` only the requirements themselves are pinned. Raises ``NO_WHEEL``
    where the target has no wheel for something.
    """
    argv: list[str | Path] = [uv(), "pip", "compile", "-", *_for(target), "--generate-hashes", "--no-header"]
    argv += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"]
    if not dependencies:
        argv.append("--no-deps")
    if without:
        argv += ["--no-emit-package", without]
    if previous is not None and previous.exists():
        argv += ["--constraints", previous]
    try:
        return _uv(argv, target, doing=f"resolving requirements for {target}", stdin="\n".join(requirements))
    except PkgbuildError:
        if previous is None or not previous.exists():
            raise
    # the old pins no longer fit together with the new requirements
    return compile_lock(requirements, target, without=without)


def install(lock: Path, target: Target, folder: Path) -> None:
    """Unpack exactly the wheels of ``lock`` for ``target`` into ``folder``, hashes checked. Raises ``NO_WHEEL``."""
    argv: list[str | Path] = [uv(), "pip", "install", *_for(target), "--python", sys.executable, "--target", folder]
    argv += ["--no-deps", "--require-hashes", "--link-mode", "copy", "--no-compile-bytecode", "--quiet", "-r", lock]
    _uv(argv, target, doing=f"installing wheels for {target}")
    tidy(folder)


def tidy(folder: Path) -> None:
    """Remove what depends on the builder's machine, so that the same wheels give the same bytes.

    Console scripts name the builder's interpreter in their first line; a release is started by its launcher instead.
    """
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for info in sorted(folder.glob("*.dist-info")):
        for name in ("REQUESTED", "direct_url.json", "uv_cache.json"):
            (info / name).unlink(missing_ok=True)
        record = info / "RECORD"
        lines = record.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if (folder / line.rsplit(",", 2)[0].strip('"')).exists()]
        record.write_text("".join(f"{line}\n" for line in sorted(kept)), encoding="utf-8")


def _for(target: Target) -> list[str]:
    if target.uv_platform is None:
        raise PkgbuildError(
            Kind.NO_WHEEL,
            f"Wheels for {target} cannot be chosen here: uv knows no {target.architecture} platform."
            " Release without third-party requirements, or leave that target out.",
        )
    return ["--python-version", target.python, "--python-platform", target.uv_platform, "--only-binary", ":all:"]


def _uv(argv: Sequence[str | Path], target: Target, *, doing: str, stdin: str | None = None) -> str:
    try:
        return run(argv, doing=doing, stdin=stdin, timeout_seconds=1800)
    except ToolError as error:
        if error.status != _NO_SOLUTION:
            raise
        reason = " ".join(error.said.split())
        raise PkgbuildError(
            Kind.NO_WHEEL,
            f"There is no fitting wheel for {target} (Python {target.python}): {reason}"
            " Pin another version in the requirements, or leave that target out.",
        ) from error
