"""A disk with a write cache that forgets: what was written since the last flush may be gone after a power cut.

A base image that is never written, and over it what has become stable. A write is held in memory until the next flush
makes all that are held stable, in order. ``cut`` copies what a power cut at this instant would leave: of the held
writes a random part, so that later ones may be there and earlier ones not; one that spans several blocks may be torn
between them. The disk itself goes on, so that one run can be cut at many instants.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

BLOCK = 4096
"""Bytes that are written as a whole or not at all: no more than the page of any flash, and what ext4 itself needs (its
superblock and the checksum of it lie in two sectors of one block)."""
NOTHING_KEPT = 0.25
"""The share of cuts that lose every held write; each other keeps a share of them that is drawn anew."""
TORN = 0.2
"""The share of the kept writes of several blocks of which only some blocks are kept."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of the writes that were held when the power was cut."""

    held: int
    kept: int
    torn: int
    """Of some blocks of which nothing is left; neither kept nor dropped."""

    @property
    def dropped(self) -> int:
        """Writes of which nothing is left."""
        return self.held - self.kept - self.torn


class LosingDisk:
    """One disk in a folder of its own: ``stable.img`` (sparse) and ``stable.map`` (one byte a block).

    Reads and writes may come from any thread. The map of the disk itself is written by ``save``.
    """

    def __init__(self, base: Path, folder: Path) -> None:
        """Go on with what the folder holds; an empty one is the base image as it is."""
        self.size = base.stat().st_size
        if self.size % BLOCK:
            raise ValueError(f"{base} is not of whole blocks of {BLOCK} bytes")
        folder.mkdir(parents=True, exist_ok=True)
        self._base_path, self._folder = base, folder
        self._map_path = folder / "stable.map"
        self._base = os.open(base, os.O_RDONLY)
        self._stable = os.open(folder / "stable.img", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._stable, self.size)
        blocks = self.size // BLOCK
        self._written = bytearray(self._map_path.read_bytes() if self._map_path.exists() else bytes(blocks))
        self._held: list[tuple[int, bytes]] = []
        self._newest: dict[int, bytes] = {}
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """How many writes a cut would put at risk now."""
        return len(self._held)

    def read(self, offset: int, length: int) -> bytes:
        """What was written last, flushed or not."""
        with self._lock:
            first, last = offset // BLOCK, -(-(offset + length) // BLOCK)
            whole = b"".join(self._blocks(first, last, with_held=True))
        start = offset - first * BLOCK
        return whole[start : start + length]

    def write(self, offset: int, data: bytes) -> None:
        """Hold a write."""
        with self._lock:
            self._held.append((offset, data))
            for block, content in self._laid_over(offset, data, with_held=True):
                self._newest[block] = content

    def flush(self) -> None:
        """Make every held write stable."""
        with self._lock:
            for offset, data in self._held:
                self._store(offset, data)
            self._forget_held()

    def cut(self, folder: Path, chance: random.Random) -> Cut:
        """Make ``folder`` the disk that a power cut at this instant leaves. This one goes on as if nothing was."""
        with self._lock:
            self._save()
            copy_disk(self._folder, folder)
            held = list(self._held)
        share = 0.0 if chance.random() < NOTHING_KEPT else chance.random()
        kept = torn = 0
        left_over = LosingDisk(self._base_path, folder)
        for offset, data in held:
            if chance.random() >= share:
                continue
            pieces = _pieces(offset, data)
            left = pieces
            if len(pieces) > 1 and chance.random() < TORN:
                left = chance.sample(pieces, chance.randrange(1, len(pieces)))
            torn += len(left) < len(pieces)
            kept += len(left) == len(pieces)
            for place, piece in left:
                left_over.write(place, piece)
        left_over.save()
        left_over.close()
        return Cut(len(held), kept, torn)

    def save(self) -> None:
        """Flush, and make the folder one that can be copied and gone on with."""
        self.flush()
        with self._lock:
            self._save()

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            os.close(self._base)
            os.close(self._stable)

    def _forget_held(self) -> None:
        self._held.clear()
        self._newest.clear()

    def _save(self) -> None:
        self._map_path.write_bytes(self._written)

    def _store(self, offset: int, data: bytes) -> None:
        if offset % BLOCK == 0 and len(data) % BLOCK == 0:
            os.pwrite(self._stable, data, offset)
            first, count = offset // BLOCK, len(data) // BLOCK
            self._written[first : first + count] = b"\1" * count
            return
        for block, content in self._laid_over(offset, data, with_held=False):
            os.pwrite(self._stable, content, block * BLOCK)
            self._written[block] = 1

    def _laid_over(self, offset: int, data: bytes, *, with_held: bool) -> list[tuple[int, bytes]]:
        """The whole blocks that a write makes of those below it."""
        laid = []
        for place, piece in _pieces(offset, data):
            block, start = divmod(place, BLOCK)
            if len(piece) < BLOCK:
                below = b"".join(self._blocks(block, block + 1, with_held=with_held))
                piece = below[:start] + piece + below[start + len(piece) :]  # noqa: PLW2901
            laid.append((block, piece))
        return laid

    def _blocks(self, first: int, last: int, *, with_held: bool) -> list[bytes]:
        """The contents of a range of blocks, read in as few pieces as they lie in."""

        def source(block: int) -> int:
            return 2 if with_held and block in self._newest else self._written[block]

        parts = []
        for kind, run in groupby(range(first, last), key=source):
            blocks = list(run)
            if kind == 2:
                parts += [self._newest[block] for block in blocks]
            else:
                file = self._stable if kind else self._base
                parts.append(os.pread(file, len(blocks) * BLOCK, blocks[0] * BLOCK))
        return parts


def copy_disk(source: Path, target: Path) -> None:
    """Copy the folder of a disk that was saved, holes as holes."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("stable.img", "stable.map"):
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", source / name, target / name], check=True)


def _pieces(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """A write, cut at the blocks of the disk."""
    pieces = []
    at = 0
    while at < len(data):
        length = min(BLOCK - (offset + at) % BLOCK, len(data) - at)
        pieces.append((offset + at, data[at : at + length]))
        at += length
    return pieces
