"""How the devices of an update are spread over its waves, for pages that cannot wait until all are counted.

A small channel is counted there and then. A large one is counted by a thread beside the requests, only for updates that
somebody looks at, and again only once a count is old: a page shows the last one, and says from when it is.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from repo_server.db import Database
from repo_server.events import Event
from repo_server.store import fleet, updates, wave_counts

KEY = "repo_server.tallies"
COUNTED = "update.counted"
"""The event that tells of a first count, and of no later one: a page that is fetched for it must not cause the next."""
AT_ONCE = 1_000
"""Devices on a channel that are counted in the request itself."""
_OLD_SECONDS = 10.0
_SHARE = 20
"""A count is kept for so many times as long as it took: counting takes at most this part of a processor."""
_KEPT = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tally:
    """Devices by wave and by status, as ``wave_counts`` tells them."""

    at: datetime
    by_wave: Sequence[Counter[str]]
    rollout: str | None
    """The waves that it was counted by, as the database holds them."""
    good_for: timedelta = timedelta(0)


class Publisher(Protocol):
    """Who tells of events."""

    def publish(self, events: Sequence[Event]) -> None:
        """Tell all who watch."""


class Tallies:
    """The newest count of each update that somebody looked at."""

    def __init__(self, db: Database, clock: Callable[[], datetime], bus: Publisher, *, at_once: int = AT_ONCE) -> None:
        self._db, self._clock, self._bus, self._at_once = db, clock, bus, at_once
        self._kept: OrderedDict[str, Tally] = OrderedDict()
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def of(self, row: sqlite3.Row) -> Tally | None:
        """The count of an update (its row); None while a large channel is counted for the first time."""
        connection, now = self._db.connection(), self._clock()
        followers = fleet.audience_of(connection, row["name"], row["channel"])
        if sum(followers.values()) <= self._at_once:
            return Tally(now, wave_counts.by_wave(connection, row), row["rollout"])
        with self._changed:
            kept = self._kept.get(row["id"])
            if kept is not None and kept.rollout != row["rollout"]:
                kept = None  # other waves
            if kept is None or now - kept.at > kept.good_for:
                self._ask(row["id"])
            return kept

    def wait(self, seconds: float) -> bool:
        """Until all that was asked for is counted, at most so long; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._asked, seconds)

    def _ask(self, update_id: str) -> None:
        self._asked[update_id] = None
        if self._thread is None:
            # A daemon: it only reads.
            self._thread = threading.Thread(target=self._run, name="tallies", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked)
                update_id = next(iter(self._asked))
            try:
                told = self._count(update_id)
            except (sqlite3.Error, ValueError):
                _log.exception("counting the devices of an update failed; it is done again when somebody looks at it")
                told = False
            with self._changed:
                del self._asked[update_id]
                self._changed.notify_all()
            if told:
                self._bus.publish([Event(COUNTED, {"id": update_id})])

    def _count(self, update_id: str) -> bool:
        """Count one; whether it is the first time with these waves."""
        connection, at, began = self._db.connection(), self._clock(), time.monotonic()
        row = updates.find(connection, update_id)
        if row is None:
            return False
        # Requests go first: after each part this waits for as long as the part took.
        pace = _Pace()
        by_wave = wave_counts.by_wave(connection, row, pace.rest)
        good_for = timedelta(seconds=max(_OLD_SECONDS, _SHARE * (time.monotonic() - began)))
        with self._changed:
            before = self._kept.pop(update_id, None)
            self._kept[update_id] = Tally(at, by_wave, row["rollout"], good_for)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return before is None or before.rollout != row["rollout"]


class _Pace:
    """Half of the time is for others."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def rest(self) -> None:
        time.sleep(time.monotonic() - self._since)
        self._since = time.monotonic()
