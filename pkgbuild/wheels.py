"""Choosing and unpacking wheels for a target on any builder machine, by uv: nothing is ever compiled or run here."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild import interpreter
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import ToolError, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pkgbuild.targets import Target

_NO_SOLUTION = 1
"""uv's exit status where the index answered but nothing fits; 2 is any other failure."""
_LACKING = (
    # the most telling of uv's sentences first; each names a project, most of them a version
    re.compile(r"Wheels are available for `(?P<name>[^`]+)` \(v(?P<version>[^)]+)\)"),
    re.compile(r"we only found wheels for `(?P<name>[^`]+)` \(v(?P<version>[^)]+)\)"),
    re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\S+) has no (?:usable )?wheels"),
    re.compile(r"there is no version of (?P<name>[A-Za-z0-9][\w.-]*?)(?:\[[^]]*\])?==(?P<version>\S+)"),
    re.compile(r"Wheels are required for `(?P<name>[^`]+)`(?P<version>)"),
)
_SAID_CHARACTERS = 600


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
    overrides: Sequence[str] = (),
) -> str:
    """Resolve ``requirements`` for ``target`` and return the pins with hashes, as a requirements file without a header.

    ``without`` names a project left out of the answer (a wheel payload itself); the versions in ``previous`` are kept
    where they still fit; ``overrides`` replace what anything asks of these projects. Without ``dependencies`` only the
    requirements themselves are pinned. Raises ``NO_WHEEL`` where the target has no wheel for something.
    """
    words: list[str | Path] = ["--generate-hashes", "--no-header", "--no-annotate"]
    words += ["--no-emit-index-url", "--no-emit-find-links", "--quiet"]
    if not dependencies:
        words.append("--no-deps")
    if without:
        words += ["--no-emit-package", without]
    with _for(target) as chosen, tempfile.TemporaryDirectory(prefix="pi-ota-overrides-") as folder:
        argv: list[str | Path] = [uv(), "pip", "compile", "-", *chosen, *words]
        if overrides:
            file = Path(folder, "overrides.txt")
            file.write_text("".join(f"{line}\n" for line in overrides), encoding="utf-8")
            argv += ["--overrides", file]
        kept: list[str | Path] = ["--constraints", previous] if previous is not None and previous.exists() else []
        doing, stdin = f"resolving requirements for {target}", "\n".join(requirements)
        try:
            return _uv([*argv, *kept], target, doing=doing, stdin=stdin)
        except PkgbuildError:
            if not kept:
                raise
        # the old pins no longer fit together with the new requirements
        return _uv(argv, target, doing=doing, stdin=stdin)


def install(lock: Path, target: Target, folder: Path) -> None:
    """Unpack exactly the wheels of ``lock`` for ``target`` into ``folder``, hashes checked. Raises ``NO_WHEEL``."""
    with _for(target) as chosen:
        argv: list[str | Path] = [uv(), "pip", "install", *chosen, "--target", folder, "--no-deps", "--require-hashes"]
        argv += ["--link-mode", "copy", "--no-compile-bytecode", "--quiet", "-r", lock]
        _uv(argv, target, doing=f"installing wheels for {target}")
    tidy(folder)


def tidy(folder: Path) -> None:
    """Remove what depends on the builder's machine, so that the same wheels give the same bytes.

    Console scripts name the builder's interpreter in their first line; a release is started by its launcher instead.
    """
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not _is_program(path):
            path.chmod(0o644)
    for info in sorted(folder.glob("*.dist-info")):
        for name in ("REQUESTED", "direct_url.json", "uv_cache.json"):
            (info / name).unlink(missing_ok=True)
        record = info / "RECORD"
        lines = record.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if (folder / line.rsplit(",", 2)[0].strip('"')).exists()]
        record.write_text("".join(f"{line}\n" for line in sorted(kept)), encoding="utf-8")


def _is_program(path: Path) -> bool:
    """Whether it can be started at all: some wheels call all of their files programs."""
    if path.suffix == ".py" or ".so" in path.suffixes:
        return False  # imported or loaded
    with path.open("rb") as file:
        return file.read(4).startswith((b"#!", b"\x7fELF"))


@contextmanager
def _for(target: Target) -> Iterator[list[str]]:
    """What makes uv choose for ``target``, whatever machine this is."""
    words = ["--python-version", target.python, "--only-binary", ":all:"]
    if target.uv_platform is not None:
        yield [*words, "--python", sys.executable, "--python-platform", target.uv_platform]
        return
    with tempfile.TemporaryDirectory(prefix="pi-ota-python-") as folder:
        yield [*words, "--python", str(interpreter.write(Path(folder), target.machine, target.glibc))]


def _uv(argv: Sequence[str | Path], target: Target, *, doing: str, stdin: str | None = None) -> str:
    try:
        return run(argv, doing=doing, stdin=stdin, timeout_seconds=1800)
    except ToolError as error:
        if error.status != _NO_SOLUTION:
            raise
        said = " ".join(error.said.split())
        raise PkgbuildError(
            Kind.NO_WHEEL,
            f"There is no fitting wheel{_lacking(said)} for {target} (Python {target.python})."
            " Pin a version that has one; or name another for this target under [[payload.overrides]] in release.toml;"
            " or leave the target out (`targets` in release.toml, --target)."
            f" uv said: {said if len(said) <= _SAID_CHARACTERS else f'{said[:_SAID_CHARACTERS]}…'}",
        ) from error


def _lacking(said: str) -> str:
    """`` of PROJECT VERSION``, as far as uv tells which one it could not find."""
    found = next((match for pattern in _LACKING if (match := pattern.search(said))), None)
    if found is None:
        return ""
    version = found["version"].rstrip(".,")
    return f" of {found['name']}" + (f" {version}" if version else "")
