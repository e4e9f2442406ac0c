"""Running other programs: their failures become our sentences, and none of them can wait for a keyboard."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from pkgbuild.errors import Kind, PkgbuildError, disk_full, is_disk_full

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

_DEBIAN_PACKAGE = {
    "gpg": "gnupg",
    "debsig-verify": "debsig-verify",
    "dpkg-deb": "dpkg",
    "aptly": "aptly",
}
_TAIL_LINES = 6


class ToolError(PkgbuildError):
    """A program ended with a failure: its exit ``status`` and what it ``said``."""

    def __init__(self, kind: Kind, sentence: str, *, status: int, said: str) -> None:
        super().__init__(kind, sentence)
        self.status = status
        self.said = said


def run(
    argv: Sequence[str | Path],
    *,
    doing: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_seconds: float = 600,
    stdin: str | BinaryIO | None = None,
    kind: Kind = Kind.BUILD_FAILED,
) -> str:
    """Run a program to its end and return its standard output.

    ``doing`` completes "… while DOING" in the error, ``env`` is added to ours, ``stdin`` is text or an open file.
    Raises ``ToolError`` of ``kind`` where the program fails, ``PkgbuildError`` where it is missing, takes over
    ``timeout_seconds`` or finds a disk full.
    """
    words = [str(word) for word in argv]
    given: dict[str, Any] = {"input": stdin or ""} if stdin is None or isinstance(stdin, str) else {"stdin": stdin}
    program = words[0].rsplit("/", 1)[-1]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            cwd=cwd,
            timeout=timeout_seconds,
            **given,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        package = _DEBIAN_PACKAGE.get(program, program)
        raise PkgbuildError(
            Kind.BUILD_FAILED, f"{program} is not installed: run `apt-get install {package}` and try again."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise PkgbuildError(
            kind, f"{program} took longer than {timeout_seconds:.0f} seconds while {doing}; run the release again."
        ) from error
    if done.returncode == 0:
        return str(done.stdout)
    said = done.stderr.strip() or done.stdout.strip()
    if is_disk_full(said):
        raise disk_full(f"this machine (while {doing})")
    tail = " / ".join(line.strip() for line in said.splitlines()[-_TAIL_LINES:])
    sentence = f"{program} failed (status {done.returncode}) while {doing}: {tail}"
    raise ToolError(kind, sentence, status=done.returncode, said=said)
