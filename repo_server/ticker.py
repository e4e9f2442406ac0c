"""A thread that does every few seconds what time alone does: ``steering.tick``."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Ticker:
    """Calls ``tick`` at once and then every ``seconds``, until it is stopped.

    A tick that fails is logged and tried again at its next time: nothing is lost, as each looks at everything.
    """

    def __init__(self, tick: Callable[[], None], seconds: float) -> None:
        self._tick = tick
        self._seconds = seconds
        self._stop = threading.Event()
        # A daemon: it holds nothing that an end in the middle could harm, a transaction is done wholly or not at all.
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when the tick that is running has ended."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._tick()
            except (sqlite3.Error, OSError, ValueError):
                _log.exception("what time alone does could not be done; it is tried again in %s s", self._seconds)
            self._stop.wait(self._seconds)
