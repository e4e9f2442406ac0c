"""Adding fields to the control file of a ready .deb; its part with the files stays what it is, byte for byte."""

from __future__ import annotations

import io
import lzma
import tarfile
from typing import TYPE_CHECKING

from debian.arfile import ArFile
from debian.deb822 import Deb822

from pkgbuild import ar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def add_fields(source: Path, target: Path, fields: Mapping[str, str]) -> None:
    """Write ``source`` with ``fields`` to ``target``; the same input gives the same bytes. Signatures are left out.

    ``source`` is a package that was read whole before; other failures than of the disk are not expected.
    """
    with source.open("rb") as file, target.open("wb") as out:
        out.write(ar.MAGIC)
        for member in ArFile(fileobj=file).getmembers():
            if member.name.startswith("_"):
                continue
            name, content = member.name, member.read()
            if name.startswith("control.tar"):
                name, content = "control.tar.xz", lzma.compress(_stamped(content, fields))
            out.write(ar.member(name, content, member.mtime or 0))


def _stamped(packed: bytes, fields: Mapping[str, str]) -> bytes:
    """The control part as an uncompressed tar with the fields in its control file."""
    result = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed)) as before,
        tarfile.open(fileobj=result, mode="w", format=tarfile.GNU_FORMAT) as after,
    ):
        for member in before:
            opened = before.extractfile(member) if member.isreg() else None
            if opened is None:
                after.addfile(member)
                continue
            content = opened.read()
            if member.name.removeprefix("./") == "control":
                paragraph = Deb822(content)
                paragraph.update(fields)
                content = str(paragraph).encode()
                member.size = len(content)
            after.addfile(member, io.BytesIO(content))
    return result.getvalue()
