"""Small ELF files for tests: headers and the sections that say something, no code."""

from __future__ import annotations

import struct

_MACHINE = {"amd64": (2, 0x3E), "arm64": (2, 0xB7), "armhf": (1, 0x28), "armel": (1, 0x28)}
_HARD_FLOAT = 0x400
_NAMES, _DYNAMIC, _ATTRIBUTES = 3, 6, 0x7000_0003


def library(architecture: str, *, needed: tuple[str, ...] = (), arm_version: int | None = None) -> bytes:
    """A shared library for one of Debian's architectures; ``arm_version`` is the value of Tag_CPU_arch."""
    bits, machine = _MACHINE[architecture]
    flags = 0x500_0000 | (_HARD_FLOAT if architecture == "armhf" else 0)
    head = 52 if bits == 1 else 64
    names, entries = b"\0", b""
    for name in needed:
        entries += struct.pack("<iI" if bits == 1 else "<qQ", 1, len(names))
        names += name.encode() + b"\0"
    entries += bytes(8 if bits == 1 else 16)
    parts = [(0, b"", 0), (_NAMES, names, 0), (_DYNAMIC, entries, 1)]
    if arm_version is not None:
        # CPU_name "7", CPU_arch, compatibility (a number and a text), ABI_VFP_args: as assemblers write them
        attributes = b"\x05" + b"7\0" + b"\x20\x01gnu\0" + bytes([6, arm_version]) + b"\x1c\x01"
        inner = b"\x01" + struct.pack("<I", len(attributes) + 5) + attributes
        vendor = b"aeabi\0" + inner
        parts.append((_ATTRIBUTES, b"A" + struct.pack("<I", len(vendor) + 4) + vendor, 0))
    sections, content = b"", b""
    for kind, data, link in parts:
        at = head + len(content)
        words = (0, kind, 0, 0, at, len(data), link, 0, 0, 0)
        sections += struct.pack("<IIIIIIIIII" if bits == 1 else "<IIQQQQIIQQ", *words)
        content += data
    identity = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    layout = "<HHIIIIIHHHHHH" if bits == 1 else "<HHIQQQIHHHHHH"
    section_size = 40 if bits == 1 else 64
    rest = (3, machine, 1, 0, 0, head + len(content), flags, head, 0, 0, section_size, len(parts), 0)
    return identity + struct.pack(layout, *rest) + content + sections
