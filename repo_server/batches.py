"""How many writes have shared a transaction, for the metrics."""

from __future__ import annotations


class Batches:
    """Counted by whoever leads a batch, so by one thread at a time; others may look at any time."""

    __slots__ = ("_sizes", "failed", "works")

    BOUNDS = (1, 3, 7, 15, 31, 63, 127, 255)
    """The upper bounds of the sizes that are counted together; the last ones are beyond."""

    def __init__(self) -> None:
        self._sizes = [0] * (len(self.BOUNDS) + 1)
        self.works = 0
        """In all batches that were committed."""
        self.failed = 0
        """Transactions that failed as a whole."""

    def committed(self, size: int) -> None:
        """A transaction of so many works (1 to 511) went through."""
        self._sizes[size.bit_length() - 1] += 1
        self.works += size

    def up_to(self) -> list[int]:
        """How many batches were at most as large as each of ``BOUNDS``, and all."""
        total, found = 0, []
        for count in self._sizes:
            total += count
            found.append(total)
        return found
