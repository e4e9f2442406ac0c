"""What the storage needs from time to time: old heartbeats and ended sessions go, the fleet's numbers are kept for its
history, and the write-ahead log is brought into the database.

All beside the requests: pruning in short transactions of its own, each of which waits for its turn among the others;
checkpoints on a connection of their own, so that no request waits for the disk because the log has grown.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from repo_server import sessions
from repo_server.context import Context
from repo_server.db import Database, Durability
from repo_server.store import fleet, heartbeats, history

SECONDS = 2.0
"""Between two looks of the server's own thread."""
COUNTING_SECONDS = 60.0
"""Between two looks at how many devices there are."""
BATCH = 1_000
"""Heartbeats deleted in one transaction: a few milliseconds, in which nobody else writes."""
_BATCHES_AT_ONCE = 200
"""In one look of the server's thread: half as many again as the busiest fleet sends meanwhile."""


def prune(db: Database, keep: timedelta, now: datetime, *, most: int | None = None) -> int:
    """Delete the heartbeats from before ``now - keep``, in at most ``most`` batches; returns how many went."""
    before, deleted = now - keep, 0
    while most is None or most > 0:
        gone = db.write(lambda connection: heartbeats.delete_before(connection, before, BATCH), Durability.CRASH)
        deleted += gone
        most = most - 1 if most is not None else None
        if gone < BATCH:
            break
    return deleted


def sample(db: Database, kept: int, now: datetime) -> bool:
    """Add this hour's sample to the fleet's history, unless it has one; returns whether it did.

    Counted outside of the transaction, in which nobody else writes.
    """
    if not history.due(db.connection(), now):
        return False
    found = fleet.summary(db.connection(), now)
    db.write(lambda connection: history.add(connection, found, kept), Durability.CRASH)
    return True


def tick(here: Context) -> None:
    """What the server does every ``SECONDS``."""
    prune(here.db, here.settings.heartbeats_kept, here.clock(), most=_BATCHES_AT_ONCE)
    sessions.forget_ended(here.db, here.settings.session_life, here.clock())
    here.db.checkpoint()
    sample(here.db, here.settings.samples_kept, here.clock())
