"""Whether the compiled files of a layer are for the machine that it goes to, and what processor they take."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild import elf
from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pkgbuild.targets import Target

_EXTENSION_MODULE = re.compile(r"\.(cpython-[^.]+|abi3)\.so")
_ARM_V6 = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 9})
"""Values of Tag_CPU_arch up to ARMv6K: what the ARMv6 boards run."""
_ARM_V7 = 10
_PACKAGE_OF = {
    **dict.fromkeys(("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"), "libc6"),
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libz.so.1": "zlib1g",
    "libexpat.so.1": "libexpat1",
    "libatomic.so.1": "libatomic1",
}
"""What manylinux lets wheels expect of a system without a display, by the packages of Debian 12 and 13."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the compiled files of a layer take of the device."""

    compiled: bool = False
    """Whether there is any."""
    armv7: bool = False
    """Whether ARMv6 boards cannot run them."""
    depends: tuple[str, ...] = ()
    """The Debian packages of the libraries that wheels may leave to the system."""


def check(folder: Path, target: Target) -> Needs:
    """Check every compiled file of ``folder`` that has to fit ``target``; what they take of the device.

    Files of wheels for one platform have to fit, and Python's extension modules wherever they are. A wheel for any
    platform may carry libraries for several machines and choose by itself. Raises ``NO_WHEEL`` for a wheel whose files
    are for another machine than it says, ``BAD_INPUT`` for such a module of the payload's own.
    """
    of_platform = dict(_files_of_platform_wheels(folder))
    found = []
    try:
        for path, one in elf.files(folder):
            wheel = of_platform.get(path)
            if wheel is None and not _EXTENSION_MODULE.search(path.name):
                continue
            _check(path.relative_to(folder), one, wheel, target)
            found.append(one)
    except ValueError as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"A compiled file cannot be released: {error}.") from error
    libraries = {name for one in found for name in one.needed}
    return Needs(
        compiled=bool(found),
        armv7=target.architecture == "armhf" and any(one.arm_version not in _ARM_V6 for one in found),
        depends=tuple(sorted({_PACKAGE_OF[name] for name in libraries & _PACKAGE_OF.keys()})),
    )


def _check(path: Path, found: elf.Elf, wheel: str | None, target: Target) -> None:
    fits = found.architecture == target.architecture and (found.arm_version or 0) <= _ARM_V7
    if fits:
        return
    built_for = found.architecture if found.architecture != target.architecture else "a newer ARM than ARMv7"
    if wheel is None:
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{path} is built for {built_for}, and the target is {target}: leave it out with `exclude`, or release for"
            " its own target only.",
        )
    raise PkgbuildError(
        Kind.NO_WHEEL,
        f"The wheel {wheel} for {target} holds {path.name}, which is built for {built_for}: pin another version of it,"
        " or leave that target out.",
    )


def _files_of_platform_wheels(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, "PROJECT VERSION") for every file of a wheel that is not for any platform."""
    for info in sorted(folder.glob("*.dist-info")):
        tags = re.findall(r"^Tag: *\S+-([^-\s]+)\s*$", (info / "WHEEL").read_text(encoding="utf-8"), re.MULTILINE)
        if all(tag == "any" for tag in tags):
            continue
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        with (info / "RECORD").open(encoding="utf-8", newline="") as record:
            for row in csv.reader(record):
                yield folder / row[0], f"{name} {version}"
