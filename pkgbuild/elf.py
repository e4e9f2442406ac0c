"""Which machine a compiled file is for, what it is linked against, and of ARM which version it takes (pyelftools)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC = b"\x7fELF"
_ARM = "EM_ARM"
_ARCHITECTURE = {("EM_X86_64", 64): "amd64", ("EM_AARCH64", 64): "arm64", ("EM_386", 32): "i386"}
_HARD_FLOAT = 0x400
_CUT_OFF = (ELFError, ConstructError, struct.error, ValueError, IndexError, AttributeError, OverflowError)
"""What pyelftools raises where it runs out of file."""


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
        try:
            return _read(ELFFile(file))
        except _CUT_OFF as error:
            raise ValueError(f"{path.name} is cut off: {error}") from error


def files(folder: Path) -> Iterator[tuple[Path, Elf]]:
    """Every ELF file below ``folder``, in the order of their paths. Raises ``ValueError`` for one that is cut off."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and (found := read(path)) is not None:
            yield path, found


def _read(elf: ELFFile) -> Elf:
    sections = list(elf.iter_sections())
    tags = (
        tag for section in sections if isinstance(section, DynamicSection) for tag in section.iter_tags("DT_NEEDED")
    )
    needed = frozenset(str(tag.needed) for tag in tags)  # type: ignore[attr-defined]  # the library sets it by name
    machine = elf["e_machine"]
    if machine != _ARM:
        named = machine if isinstance(machine, str) else f"machine {machine}"
        return Elf(_ARCHITECTURE.get((machine, elf.elfclass), named), needed)
    return Elf("armhf" if elf["e_flags"] & _HARD_FLOAT else "armel", needed, _arm_version(sections))


def _arm_version(sections: Sequence[object]) -> int | None:
    """Tag_CPU_arch of the section .ARM.attributes (ABI for the Arm Architecture, addenda)."""
    for section in sections:
        if isinstance(section, ARMAttributesSection):
            for part in section.iter_subsections():
                for scope in part.iter_subsubsections():
                    for attribute in scope.iter_attributes("TAG_CPU_ARCH"):
                        return int(attribute.value)
    return None
