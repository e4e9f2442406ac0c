"""An autopkgtest virtualisation server: a system of ``systems.to_boot`` under systemd, in systemd-nspawn.

autopkgtest starts it as a program (``-- …/testbed.py FOLDER BASE``), and it speaks the protocol of autopkgtest's own
servers over standard input and output, by autopkgtest's own library. FOLDER is for its overlays; each reset makes one.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

LIBRARY = "/usr/share/autopkgtest/lib"
sys.path[:0] = [LIBRARY, str(Path(__file__).resolve().parents[2])]

from tests.support.apt_root import AptRoot  # noqa: E402  # run as a program, from anywhere
from tests.support.booted import booted  # noqa: E402

_library: Any = importlib.import_module("VirtSubproc")
_held = ExitStack()
_boots = 0


def hook_open() -> None:
    """Boot a fresh system."""
    global _boots  # noqa: PLW0603  # the library wants functions of this module
    _boots += 1
    folder, base = map(Path, sys.argv[1:3])
    system = _held.enter_context(AptRoot((base,), folder / str(_boots)))
    system.let_boot()
    _library.auxverb = _held.enter_context(booted(system.path)).inside


def hook_revert() -> None:
    """A fresh system in place of the one that a test has changed."""
    hook_cleanup()
    hook_open()


def hook_downtmp(path: str | None) -> str:
    """The folder for autopkgtest's own files in the system."""
    found: str = _library.downtmp_mktemp(path)
    return found


def hook_cleanup() -> None:
    """End the system; nothing stays."""
    _library.downtmp_remove()
    _held.close()


def hook_capabilities() -> list[str]:
    """What tests may rely on."""
    return ["isolation-container", "revert", "revert-full-system", "root-on-testbed"]


if __name__ == "__main__":
    _library.main()
