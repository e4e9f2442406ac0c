"""What happens in the fleet, told to those who watch: ``GET /api/v1/events``.

A change notes its events in its own transaction (``note``); they are published, in the order of the commits, once that
transaction is on disk, and not at all where it is rolled back. A ring keeps the newest. Each watcher only has a place
in it: one that is slower than the ring is told to look anew (``reset``) instead of being waited for, and so is one that
comes back after the server was restarted, since the ring is in memory.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from repo_server.errors import UnavailableError

KEY = "repo_server.events"
RING = 1_024
KEEP_ALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 3_000
_RETRY_AFTER_SECONDS = 10
NOTHING_NEW = b": nothing new\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened; ``data`` says to what and never holds a secret."""

    kind: str
    data: Mapping[str, object] = field(default_factory=dict)


RESET = Event("reset")
"""Something was missed: look at everything anew."""


def named(identifier: str, event: Event) -> str:
    """As programs get it, who ask for the kinds they know."""
    return f"id: {identifier}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n"


def unnamed(identifier: str, event: Event) -> str:
    """With the kind among its data: a browser has to name each kind that it wants to hear of, unless there is none."""
    return f"id: {identifier}\ndata: {json.dumps({'kind': event.kind, **event.data})}\n\n"


class Writer(sqlite3.Connection):
    """The connection that writes, with the events that its transaction has noted so far."""

    noted: list[Event]


def note(connection: sqlite3.Connection, kind: str, **data: object) -> None:
    """Publish an event once the transaction of ``connection`` is committed; in the CLI there is nobody to tell."""
    if isinstance(connection, Writer):
        connection.noted.append(Event(kind, data))


class Bus:
    """The ring and who watches. Publishing never waits for anybody."""

    def __init__(
        self,
        streams: int,
        *,
        ring: int = RING,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``streams``: how many may watch at once. ``clock``: in seconds, from anywhere on."""
        self.streams = streams
        self._keep_alive_seconds = keep_alive_seconds
        self._clock = clock
        self._ring: deque[Event] = deque(maxlen=ring)
        self._published = 0
        self._open = 0
        self._closed = False
        self._changed = threading.Condition()
        # Of this process: numbers begin anew with each.
        self._life = secrets.token_hex(4)

    @property
    def watching(self) -> int:
        """How many streams are open."""
        return self._open

    def publish(self, events: Sequence[Event]) -> None:
        """Tell all who watch, in this order."""
        with self._changed:
            self._ring.extend(events)
            self._published += len(events)
            self._changed.notify_all()

    def close(self) -> None:
        """End all streams at once, and refuse new ones: the server stops."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def watch(
        self,
        last_id: str | None,
        still: Callable[[], bool] = lambda: True,
        text: Callable[[str, Event], str] = named,
    ) -> Stream:
        """A stream from behind ``last_id`` (the id of the last event that the client has), else from now on.

        ``still`` is asked once in a while, whatever happens: whether this client may go on watching. ``text`` renders
        an event with its id.
        Raises ``UnavailableError`` where as many watch as may.
        """
        with self._changed:
            if self._closed or self._open >= self.streams:
                raise UnavailableError(
                    f"{self._open} programs watch already, which is all that this server takes; try again later, or "
                    "raise event_streams and threads",
                    _RETRY_AFTER_SECONDS,
                )
            self._open += 1
            return Stream(self, self._place(last_id), still, text)

    def _place(self, last_id: str | None) -> int:
        """How many events the client knows; -1 where that cannot be told any more."""
        if last_id is None:
            return self._published
        life, _, number = last_id.partition("-")
        known = int(number) if number.isascii() and number.isdigit() and len(number) < 20 else -1  # noqa: PLR2004 - digits
        return known if life == self._life and known <= self._published else -1

    def _next(self, place: int) -> tuple[list[tuple[int, Event]], int] | None:
        """Wait for events behind ``place``: them and the new place; none after a while; None when all is over."""
        with self._changed:
            if not self._closed and place == self._published:
                self._changed.wait(self._keep_alive_seconds)
            if self._closed:
                return None
            first = self._published - len(self._ring)
            if place < first:
                return [(self._published, RESET)], self._published
            behind = range(place, self._published)
            return [(number + 1, self._ring[number - first]) for number in behind], self._published

    def _leave(self) -> None:
        with self._changed:
            self._open -= 1


class Stream:
    """One watcher's events as server-sent events, for as long as it is read; ``close`` it in any case."""

    def __init__(self, bus: Bus, place: int, still: Callable[[], bool], text: Callable[[str, Event], str]) -> None:
        self._bus = bus
        self._place = place
        self._still = still
        self._text = text
        self._left = False

    def __iter__(self) -> Iterator[bytes]:
        """Texts to send, until the server stops or the client may not watch any more."""
        bus = self._bus
        asked = bus._clock()  # noqa: SLF001 - the two are one
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        while (found := bus._next(self._place)) is not None:  # noqa: SLF001 - the two are one
            events, self._place = found
            now = bus._clock()  # noqa: SLF001 - the two are one
            if not events or now - asked >= bus._keep_alive_seconds:  # noqa: SLF001 - the two are one
                if not self._still():
                    return
                asked = now
            life = bus._life  # noqa: SLF001 - the two are one
            yield "".join(self._text(f"{life}-{number}", event) for number, event in events).encode() or NOTHING_NEW

    def close(self) -> None:
        """Make room for another."""
        if not self._left:
            self._left = True
            self._bus._leave()  # noqa: SLF001 - the two are one
