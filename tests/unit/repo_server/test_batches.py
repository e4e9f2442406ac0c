"""Batches by size: every size falls into the first bucket that holds it, and all are counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from repo_server.batches import Batches
from repo_server.group_commit import LARGEST_BATCH


@given(st.lists(st.integers(1, LARGEST_BATCH)))
def test_every_size_is_counted_once_in_every_bucket_that_holds_it(sizes: list[int]) -> None:
    batches = Batches()
    for size in sizes:
        batches.committed(size)
    bounds = [*Batches.BOUNDS, LARGEST_BATCH]
    assert batches.up_to() == [len([size for size in sizes if size <= bound]) for bound in bounds]
    assert batches.works == sum(sizes)
