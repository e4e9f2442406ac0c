"""Which machine a compiled file is for, read from its ELF header and, of ARM, from its build attributes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"\x7fELF"
_ARCHITECTURE = {(2, 0x3E): "amd64", (2, 0xB7): "arm64", (1, 0x28): "arm", (1, 0x03): "i386"}
"""(class: 32 or 64 bits, machine) -> what Debian calls it; "arm" before its floats are known."""
_HARD_FLOAT = 0x400
_DYNAMIC = 6
_NEEDED = 1
_ARM_ATTRIBUTES = 0x7000_0003
_FILE_SCOPE = 1
_CPU_ARCH = 6
_COMPATIBILITY = 32
_TEXT_TAGS = frozenset({4, 5, _COMPATIBILITY, 65, 67})
"""Attributes whose value is text (CPU_raw_name, CPU_name, compatibility, also_compatible_with, conformance)."""
_LAYOUT = {1: ("<I", 32, 46, "<IIIIIIIIII", "<iI"), 2: ("<Q", 40, 58, "<IIQQQQIIQQ", "<qQ")}
"""class -> where the file header tells of the sections, and how a section's header and a dynamic entry are packed."""


@dataclass(frozen=True, slots=True)
class Elf:
    """One compiled file."""

    architecture: str
    """As Debian calls it (``arm64``); ``armel`` is ARM with soft floats, ``machine 8`` one that is not known here."""
    needed: frozenset[str] = frozenset()
    """The shared libraries that it is linked against, as ``libc.so.6``."""
    arm_version: int | None = None
    """Of ARM: the value of Tag_CPU_arch, 6 for ARMv6, 10 for ARMv7; None where the file does not say."""


def read(path: Path) -> Elf | None:
    """None where ``path`` is no ELF file. Raises ``ValueError`` where it says so and is cut off."""
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            return None
        content = _MAGIC + file.read()
    try:
        bits = content[4]
        (machine,) = struct.unpack_from("<H", content, 18)
        architecture = _ARCHITECTURE.get((bits, machine), f"machine {machine}")
        if bits not in _LAYOUT:
            return Elf(architecture)
        sections = list(_sections(content, bits))
        needed = frozenset(_needed(content, bits, sections))
        if architecture != "arm":
            return Elf(architecture, needed)
        (flags,) = struct.unpack_from("<I", content, 36)
        return Elf("armhf" if flags & _HARD_FLOAT else "armel", needed, _arm_version(content, sections))
    except (IndexError, struct.error, ValueError) as error:
        raise ValueError(f"{path.name} is cut off: {error}") from error


def files(folder: Path) -> Iterator[tuple[Path, Elf]]:
    """Every ELF file below ``folder``, in the order of their paths. Raises ``ValueError`` for one that is cut off."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and (found := read(path)) is not None:
            yield path, found


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int
    """The number of another section: of the dynamic one, that of its names."""


def _sections(content: bytes, bits: int) -> Iterator[_Section]:
    word, offset_at, count_at, header, _ = _LAYOUT[bits]
    (start,) = struct.unpack_from(word, content, offset_at)
    size, count = struct.unpack_from("<HH", content, count_at)
    for number in range(count):
        _, kind, _, _, offset, length, link, *_ = struct.unpack_from(header, content, start + number * size)
        yield _Section(kind, offset, length, link)


def _needed(content: bytes, bits: int, sections: list[_Section]) -> Iterator[str]:
    entry = _LAYOUT[bits][4]
    for section in sections:
        if section.kind != _DYNAMIC:
            continue
        names = sections[section.link].offset
        for tag, value in struct.iter_unpack(entry, content[section.offset : section.offset + section.size]):
            if tag == _NEEDED:
                start = names + value
                yield content[start : content.index(b"\0", start)].decode()


def _arm_version(content: bytes, sections: list[_Section]) -> int | None:
    """Tag_CPU_arch of the section .ARM.attributes (ABI for the Arm Architecture, addenda)."""
    for section in sections:
        if section.kind == _ARM_ATTRIBUTES:
            return _cpu_arch(content[section.offset : section.offset + section.size])
    return None


def _cpu_arch(section: bytes) -> int | None:
    vendor = section.find(b"aeabi\0")
    if not section.startswith(b"A") or vendor < 0:
        return None
    at = vendor + len(b"aeabi\0")
    if section[at] != _FILE_SCOPE:
        return None
    at += 5  # the tag, and the length of what follows
    while at < len(section):
        tag, at = _uleb(section, at)
        if tag in _TEXT_TAGS:
            at = section.index(b"\0", at if tag != _COMPATIBILITY else _uleb(section, at)[1]) + 1
            continue
        value, at = _uleb(section, at)
        if tag == _CPU_ARCH:
            return value
    return None


def _uleb(content: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where the next thing begins."""
    value, shift = 0, 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
