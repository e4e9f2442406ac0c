"""The machine that is changed: its files and its programs. Each change is told, and so is what was left as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

_MARK = "# pi-ota wrote what follows, sha256 "


class InstallError(RuntimeError):
    """It cannot go on; one sentence that says what to do."""


class Machine:
    """Files below ``root`` and programs, with ``say`` told of each change (``made``, ``changed``, ``kept``, …)."""

    def __init__(self, say: Callable[[str], None], root: Path = Path("/")) -> None:
        """``root`` is another folder than ``/`` in tests; programs are not run in it."""
        self._say = say
        self._root = root

    def path(self, path: Path) -> Path:
        """Where a path of the installed server really is."""
        return self._root / path.relative_to("/")

    def tell(self, what: str, words: object) -> None:
        """One line of the report."""
        self._say(f"{what:<9} {words}")

    def run(
        self,
        *command: str | Path,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        input_text: str | None = None,
    ) -> str:
        """What a program prints. Raises ``InstallError`` with its last words where it fails.

        ``user`` runs it as that user, with an environment of its own.
        """
        words = [str(word) for word in command]
        if user is not None:
            words = ["runuser", "-u", user, "--", "env", *(f"{key}={value}" for key, value in (env or {}).items())]
            words += [str(word) for word in command]
        done = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            input=input_text,
            stdin=None if input_text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join((done.stderr + done.stdout).strip().splitlines()[-12:])
            raise InstallError(f"`{' '.join(map(str, command))}` ended with status {done.returncode}:\n{tail}")
        return done.stdout

    def succeeds(self, *command: str | Path) -> bool:
        """Whether a program ends with status 0."""
        return subprocess.run([*map(str, command)], capture_output=True, check=False).returncode == 0

    def folder(self, path: Path, mode: int, owner: str = "root", group: str | None = None) -> None:
        """A folder with this mode and owner, mended where it has others."""
        real = self.path(path)
        before = real.stat().st_mode & 0o7777 if real.is_dir() else None
        real.mkdir(parents=True, exist_ok=True)
        changed = self._own(real, mode, owner, group or owner)
        if before is None:
            self.tell("made", f"{path}/ (mode {mode:04o}, {owner})")
        elif changed:
            self.tell("mended", f"{path}/ (mode {mode:04o}, {owner})")

    def write(self, path: Path, text: str, mode: int, owner: str = "root", group: str | None = None) -> bool:
        """A file with this content; whether it changed anything. It is there as a whole or not at all."""
        real = self.path(path)
        before = real.read_text(encoding="utf-8") if real.is_file() else None
        if before != text:
            part = real.with_name(real.name + ".part")
            part.unlink(missing_ok=True)
            part.touch(mode=0o600)
            part.write_text(text, encoding="utf-8")
            self._own(part, mode, owner, group or owner)
            part.replace(real)
            self.tell("made" if before is None else "changed", path)
        else:
            self._own(real, mode, owner, group or owner)
        return before != text

    def manage(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """A file that people may change: then it is left alone, and ours is put beside it as ``PATH.new``."""
        real = self.path(path)
        ours = f"{_MARK}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"
        if not real.exists() or _untouched(real.read_text(encoding="utf-8")):
            return self.write(path, ours, mode)
        beside = path.with_name(path.name + ".new")
        self.write(beside, ours, mode)
        self.tell("kept", f"{path}, which somebody has changed; what it would be is in {beside}")
        return False

    def remove(self, path: Path) -> None:
        """A file, a link or a whole folder, where it is there."""
        real = self.path(path)
        if real.is_dir() and not real.is_symlink():
            shutil.rmtree(real)
        elif real.exists() or real.is_symlink():
            real.unlink()
        else:
            return
        self.tell("removed", path)

    def _own(self, real: Path, mode: int, owner: str, group: str) -> bool:
        """Whether it had another mode or owner."""
        found = real.stat()
        changed = found.st_mode & 0o7777 != mode
        if os.geteuid() == 0 and self._root == Path("/"):
            changed |= (real.owner(), real.group()) != (owner, group)
            shutil.chown(real, owner, group)
        real.chmod(mode)
        return changed


def _untouched(text: str) -> bool:
    first, _, rest = text.partition("\n")
    return first == _MARK + hashlib.sha256(rest.encode()).hexdigest()
