"""ELF files made byte by byte, after elf(5) and the ABI for the Arm Architecture."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from pkgbuild import compiled, elf
from pkgbuild.elf import Elf
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.targets import Target
from tests.support.elf import library

ARMHF = Target("trixie", "armhf")


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (library("amd64"), Elf("amd64")),
        (library("arm64", needed=("libc.so.6", "libz.so.1")), Elf("arm64", frozenset({"libc.so.6", "libz.so.1"}))),
        (library("armhf", arm_version=10), Elf("armhf", arm_version=10)),
        (library("armhf", arm_version=6, needed=("libm.so.6",)), Elf("armhf", frozenset({"libm.so.6"}), 6)),
        (library("armel", arm_version=4), Elf("armel", arm_version=4)),
        (library("armhf"), Elf("armhf")),
    ],
)
def test_machine_libraries_and_arm_version_are_read(tmp_path: Path, made: bytes, found: Elf) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(made)
    assert elf.read(path) == found


def test_this_python_is_of_this_machine() -> None:
    found = elf.read(Path(sys.executable).resolve())
    assert found is not None
    assert found.architecture == "amd64" if sys.maxsize > 1 << 32 else "armhf"
    assert "libc.so.6" in found.needed


@pytest.mark.parametrize(("number", "name"), [(8, "EM_MIPS"), (999, "machine 999")])
def test_other_machines_go_by_elfs_own_name_or_by_number(tmp_path: Path, number: int, name: str) -> None:
    content = bytearray(library("amd64"))
    struct.pack_into("<H", content, 18, number)
    (tmp_path / "x").write_bytes(content)
    assert elf.read(tmp_path / "x") == Elf(name)


@pytest.mark.parametrize("kept", [4, 19, 60, 100])
def test_a_file_that_is_cut_off_is_noticed(tmp_path: Path, kept: int) -> None:
    (tmp_path / "x.so").write_bytes(library("arm64", needed=("libc.so.6",))[:kept])
    with pytest.raises(ValueError, match=r"x\.so is cut off"):
        elf.read(tmp_path / "x.so")


def test_what_is_no_elf_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("\n")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "link").symlink_to(sys.executable)
    assert list(elf.files(tmp_path)) == []


def wheel(folder: Path, tag: str, **content: bytes) -> Path:
    """A wheel as it is unpacked; ``a_so`` is the file ``a.so``."""
    info = folder / "vox-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
    names = [name.replace("_so", ".so") for name in content]
    (info / "RECORD").write_text("".join(f"{name},sha256=x,1\n" for name in names))
    for name, data in zip(names, content.values(), strict=True):
        (folder / name).write_bytes(data)
    return folder


def test_what_a_layer_takes_of_the_device(tmp_path: Path) -> None:
    armv7 = library("armhf", arm_version=10, needed=("libc.so.6", "libm.so.6", "libstdc++.so.6", "libown.so.1"))
    needs = compiled.check(wheel(tmp_path, "cp313-cp313-manylinux_2_31_armv7l", a_so=armv7), ARMHF)
    assert needs == compiled.Needs(compiled=True, armv7=True, depends=("libc6", "libstdc++6"))


def test_armv6_code_is_for_every_board(tmp_path: Path) -> None:
    needs = compiled.check(wheel(tmp_path, "cp313-cp313-linux_armv6l", a_so=library("armhf", arm_version=6)), ARMHF)
    assert (needs.compiled, needs.armv7) == (True, False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (library("amd64"), r"vox 1\.0 for trixie/armhf holds a\.so, which is built for amd64"),
        (library("armel", arm_version=10), "built for armel"),
        (library("armhf", arm_version=14), "built for a newer ARM than ARMv7"),
    ],
)
def test_a_wheel_for_another_machine_than_it_says_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(PkgbuildError, match=words) as caught:
        compiled.check(wheel(tmp_path, "cp313-cp313-manylinux_2_31_armv7l", a_so=content), ARMHF)
    assert caught.value.kind is Kind.NO_WHEEL


def test_a_wheel_for_any_platform_may_carry_libraries_for_several(tmp_path: Path) -> None:
    folder = wheel(tmp_path, "py3-none-any", a_so=library("amd64"), b_so=library("armhf", arm_version=10))
    assert compiled.check(folder, ARMHF) == compiled.Needs()


def test_an_extension_module_of_the_payload_itself_has_to_fit(tmp_path: Path) -> None:
    (tmp_path / "fast.cpython-313-x86_64-linux-gnu.so").write_bytes(library("amd64"))
    with pytest.raises(PkgbuildError, match="leave it out with `exclude`") as caught:
        compiled.check(tmp_path, ARMHF)
    assert caught.value.kind is Kind.BAD_INPUT
    assert compiled.check(tmp_path, Target("trixie", "amd64")).compiled


def test_a_damaged_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "fast.abi3.so").write_bytes(library("amd64")[:30])
    with pytest.raises(PkgbuildError, match=r"fast\.abi3\.so is cut off"):
        compiled.check(tmp_path, ARMHF)
