"""Many requests at once to one server, over connections that are kept."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class Wire:
    """Requests to 127.0.0.1:``port``, each thread over a connection of its own. ``count`` is how many there were."""

    def __init__(self, port: int, threads: int) -> None:
        self._port = port
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(threads)
        self._opened: list[http.client.HTTPConnection] = []
        self._counting = threading.Lock()
        self.count = 0

    def ask(self, method: str, path: str, body: object = None, *, key: str = "", token: str = "") -> Any:
        """The answer's JSON. Raises ``AssertionError`` for anything but 2xx: nothing here is meant to be refused."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["X-API-Key"] = key
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        status, content = self._sent(method, path, data, headers)
        with self._counting:
            self.count += 1
        assert 200 <= status < 300, f"{method} {path}: {status} {content!r}"
        return json.loads(content) if content else None

    def each(self, items: Iterable[_T], work: Callable[[_T], _R]) -> list[_R]:
        """``work`` for every item, at the same time; the results in the items' order."""
        return list(self._pool.map(work, items))

    def close(self) -> None:
        """End the threads and close the connections."""
        self._pool.shutdown()
        for connection in self._opened:
            connection.close()

    def _sent(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            self._opened.append(connection)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            connection.close()  # it was idle for too long; every request here may be repeated
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
        return answer.status, answer.read()
