"""What pyelftools reads of a compiled file; apart, since it is imported only where there is one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from pkgbuild.elf import Elf

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARM = "EM_ARM"
_ARCHITECTURE = {("EM_X86_64", 64): "amd64", ("EM_AARCH64", 64): "arm64", ("EM_386", 32): "i386"}
_HARD_FLOAT = 0x400
_CUT_OFF = (ELFError, ConstructError, struct.error, ValueError, IndexError, AttributeError, OverflowError)
"""What pyelftools raises where it runs out of file."""


def read(file: BinaryIO) -> Elf:
    """An ELF file. Raises ``ValueError`` where it is cut off."""
    try:
        return _read(ELFFile(file))
    except _CUT_OFF as error:
        raise ValueError(str(error)) from error


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
