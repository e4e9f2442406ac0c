"""The losing disk and its NBD server, the latter spoken to by QEMU's own client."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.powercut.losing_disk import BLOCK, LosingDisk, copy_disk
from tests.powercut.nbd import NbdServer

SIZE = 64 * BLOCK


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base"
    path.write_bytes(b"b" * SIZE)
    return path


@pytest.fixture
def disk(base: Path, tmp_path: Path) -> Iterator[LosingDisk]:
    opened = LosingDisk(base, tmp_path / "disk")
    yield opened
    opened.close()


def test_cuts_differ_in_what_they_keep_and_the_seed_decides(base: Path, tmp_path: Path) -> None:
    def cut(seed: int, name: str) -> tuple[int, int, int]:
        disk = LosingDisk(base, tmp_path / name)
        for number in range(60):
            disk.write(number * BLOCK, b"w" * 4 * BLOCK)
        result = disk.cut(tmp_path / f"{name}-cut", random.Random(seed))
        disk.close()
        return result.kept, result.torn, result.dropped

    results = [cut(seed, f"first{seed}") for seed in range(30)]
    assert results == [cut(seed, f"again{seed}") for seed in range(30)]
    assert any(kept == 0 and torn == 0 for kept, torn, _ in results)
    assert any(kept > 40 for kept, _, _ in results)
    assert any(torn for _, torn, _ in results)


def test_a_saved_disk_is_gone_on_with_in_a_copy_and_the_base_stays(
    disk: LosingDisk, base: Path, tmp_path: Path
) -> None:
    disk.write(BLOCK + 10, b"hello")
    disk.save()
    copy_disk(tmp_path / "disk", tmp_path / "copy")
    copied = LosingDisk(base, tmp_path / "copy")
    copied.write(0, b"only here")
    copied.save()
    assert copied.read(BLOCK + 9, 7) == b"bhellob"
    assert disk.read(0, 2) == b"bb"
    assert base.read_bytes() == b"b" * SIZE
    copied.close()


def test_a_disk_of_broken_blocks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(b"x")
    with pytest.raises(ValueError, match="not of whole blocks"):
        LosingDisk(tmp_path / "base", tmp_path / "disk")


def test_qemu_reads_writes_and_flushes_it(disk: LosingDisk, tmp_path: Path) -> None:
    server = NbdServer(disk, tmp_path / "nbd")
    words = f"driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={tmp_path / 'nbd'}"

    def qemu_io(*commands: str) -> str:
        asked = [word for command in commands for word in ("-c", command)]
        done = subprocess.run(
            ["qemu-io", "--image-opts", words, *asked], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "pattern" not in qemu_io("read -P 0x62 0 256k", "write -P 0x77 512 9k", "read -P 0x77 512 9k", "flush")
    assert disk.held == 0, "QEMU flushes what it is told to flush"
    assert disk.read(511, 3) == b"bww"
    assert "256 KiB" in qemu_io("length")
    server.close()
