"""The worker keeps to one processor: see docs/adr/0031-one-processor.md."""

from __future__ import annotations

import os


def keep_to_one() -> int | None:
    """Have the calling process run on one processor from now on, the last of those that it may use; which.

    None where it may use only one anyway, or the system lets nobody choose. The last: the first is where most systems
    handle their interrupts.
    """
    available = os.sched_getaffinity(0)
    if len(available) == 1:
        return None
    chosen = max(available)
    try:
        os.sched_setaffinity(0, {chosen})
    except OSError:  # a sandbox's rule; it is slower then, and nothing else
        return None
    return chosen
