"""Whether two machines go by one device's identity: a card that was copied after its first boot. Pure.

Each boot has an id of its own, and a heartbeat tells for how long it has been up. A device that was restarted began its
new boot after the last heartbeat of the one before. Where the boot that speaks now began earlier than that, both were
up at once. One such overlap may be a request that was late; ``ENOUGH`` of them without an ordinary restart in between
are two machines that take turns. Only the server's clock is asked, and nothing is concluded where it was set back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

ENOUGH = 3
LATE = timedelta(minutes=2)
"""How long after it was sent a heartbeat may be answered; an agent gives up after one minute."""


@dataclass(frozen=True, slots=True)
class Boot:
    """The boot that spoke last."""

    id: str
    seen_at: datetime


def overlaps(before: int, last: Boot | None, boot_id: str, uptime: timedelta, now: datetime) -> int:
    """How many overlaps there are with this heartbeat, given those before it."""
    if last is None or boot_id == last.id or now < last.seen_at:
        return before
    began = now - uptime
    return before + 1 if began + LATE < last.seen_at else 0
