"""The losing disk itself: what a flush promises it keeps, and a cut loses only what a real one may lose."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.powercut.losing_disk import BLOCK, LosingDisk

SECTOR = 512
BLOCKS = 6
SECTORS = BLOCKS * BLOCK // SECTOR
PER_BLOCK = BLOCK // SECTOR


class Write(NamedTuple):
    first: int
    length: int
    mark: int


FLUSH = None
writes = st.builds(
    lambda first, count: (first, min(count, SECTORS - first)), st.integers(0, SECTORS - 1), st.integers(1, SECTORS)
)
operations = st.lists(st.one_of(writes, st.none()), max_size=25)


def play(disk: LosingDisk, steps: list[tuple[int, int] | None]) -> tuple[list[int], list[Write]]:
    """Do the steps, each write with a mark of its own; the stable sectors and the held writes as they should be."""
    stable, held = [0] * SECTORS, list[Write]()
    for number, step in enumerate(steps, start=1):
        if step is FLUSH:
            disk.flush()
            for write in held:
                stable[write.first : write.first + write.length] = [write.mark] * write.length
            held = []
        else:
            held.append(Write(*step, number))
            disk.write(step[0] * SECTOR, bytes([number]) * (step[1] * SECTOR))
    return stable, held


def sectors(disk: LosingDisk) -> list[int]:
    """The mark of every sector; a sector that is mixed has none."""
    content = disk.read(0, SECTORS * SECTOR)
    marks = []
    for at in range(0, len(content), SECTOR):
        sector = content[at : at + SECTOR]
        assert sector == sector[:1] * SECTOR, "a sector is mixed"
        marks.append(sector[0])
    return marks


@given(operations, st.integers(0, 1000))
@settings(deadline=None)
def test_a_flush_keeps_all_and_a_cut_keeps_whole_blocks_of_held_writes(
    steps: list[tuple[int, int] | None], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "base").write_bytes(bytes(SECTORS * SECTOR))
        disk = LosingDisk(folder / "base", folder / "disk")
        stable, held = play(disk, steps)
        newest = list(stable)
        for write in held:
            newest[write.first : write.first + write.length] = [write.mark] * write.length
        assert sectors(disk) == newest, "what was written last is read, flushed or not"

        cut = disk.cut(folder / "after", random.Random(seed))
        assert sectors(disk) == newest, "the disk that was cut goes on"
        disk.close()
        after = LosingDisk(folder / "base", folder / "after")
        found = sectors(after)
        after.close()
        assert (cut.held, cut.dropped >= 0) == (len(held), True)
        for sector, mark in enumerate(found):
            possible = {write.mark for write in held if write.first <= sector < write.first + write.length}
            assert mark in {stable[sector], *possible}
        whole = set[int]()
        for number, write in enumerate(held):
            covered = {s for later in held[number + 1 :] for s in range(later.first, later.first + later.length)}
            mine = [s for s in range(write.first, write.first + write.length) if s not in covered]
            for block in {s // PER_BLOCK for s in mine}:
                there = {found[s] == write.mark for s in mine if s // PER_BLOCK == block}
                assert len(there) == 1, "a block of one write is there as a whole or not at all"
            if mine and all(found[s] == write.mark for s in mine):
                whole.add(write.mark)
        if cut.dropped == cut.held:
            assert found == stable
        if cut.kept == cut.held:
            assert found == newest
