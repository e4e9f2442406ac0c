"""Which machine a compiled file is for, what it is linked against, and of ARM which version it takes (pyelftools)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Elf:
    """One compiled file."""

    architecture: str
    """As Debian calls it (``arm64``); ``armel`` is ARM with soft floats. Others as ELF does (``EM_MIPS``), or by
    number (``machine 999``)."""
    needed: frozenset[str] = frozenset()
    """The shared libraries that it is linked against, as ``libc.so.6``."""
    arm_version: int | None = None
    """Of ARM: the value of Tag_CPU_arch, 6 for ARMv6, 10 for ARMv7; None where the file does not say."""


def read(path: Path) -> Elf | None:
    """None where ``path`` is no ELF file. Raises ``ValueError`` where it says so and is cut off."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
        file.seek(0)
        from pkgbuild import elf_sections  # noqa: PLC0415 - pyelftools takes a while, and most releases have no such file

        try:
            return elf_sections.read(file)
        except ValueError as error:
            raise ValueError(f"{path.name} is cut off: {error}") from error


def files(folder: Path) -> Iterator[tuple[Path, Elf]]:
    """Every ELF file below ``folder``, in the order of their paths. Raises ``ValueError`` for one that is cut off."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and (found := read(path)) is not None:
            yield path, found
