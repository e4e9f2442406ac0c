"""A restart under load: no request is lost, and nobody who watches holds it up."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from repo_server.ids import uuid7
from tests.integration.repo_server.conftest import Fleet
from tests.support.fleet_bodies import heartbeat, registration
from tests.support.server import RunningServer, running_server


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What systemd holds open while the server is restarted."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as made:
        yield made


def enroll(server: RunningServer) -> Fleet:
    one = Fleet(server, uuid7(datetime.now(UTC)), uuid.uuid4().hex)
    body = registration(id=one.id, token=one.token)
    assert server.request("POST", "/api/v1/devices/", body=body, token=server.secrets["enrollment_token"]).status == 201
    return one


class Load:
    """Clients that ask without a pause; what goes wrong, and how often each was answered."""

    def __init__(self, device: Fleet) -> None:
        self.wrong: list[str] = []
        self.answered = [0, 0, 0, 0]
        self._device = device
        self._stop = threading.Event()

    def _loop(self, number: int, ask: Callable[[], int]) -> None:
        while not self._stop.is_set():
            try:
                status = ask()
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"client {number}: {error!r}")
            else:
                self.answered[number] += 1
                if status != 200:
                    self.wrong.append(f"client {number}: {status}")

    @contextmanager
    def running(self) -> Iterator[None]:
        port = self._device.server.port
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def on_one_connection() -> int:
            """As programs do that keep a connection: http.client connects anew after ``Connection: close``."""
            kept.request("POST", f"{self._device.path}/heartbeat", json.dumps(heartbeat()), {
                "Content-Type": "application/json", "Authorization": f"Bearer {self._device.token}"})  # fmt: skip
            answer = kept.getresponse()
            answer.read()
            return answer.status

        asks: list[Callable[[], int]] = [
            lambda: self._device.beat().status,
            lambda: self._device.server.request("GET", "/healthz").status,
            on_one_connection,
            lambda: self._device.beat().status,
        ]
        with ThreadPoolExecutor(len(asks)) as pool:
            clients = [pool.submit(self._loop, number, ask) for number, ask in enumerate(asks)]
            try:
                yield
            finally:
                self._stop.set()
        for client in clients:
            client.result()
        kept.close()

    def until_each_was_answered(self, times: int) -> None:
        goal = [count + times for count in self.answered]
        while any(count < least for count, least in zip(self.answered, goal, strict=True)):
            assert not self.wrong, self.wrong
            self._stop.wait(0.05)


def test_no_request_is_lost_by_a_restart_behind_a_socket_that_stays_open(
    tmp_path: Path, listener: socket.socket
) -> None:
    with running_server(tmp_path, listener=listener) as first:
        load = Load(enroll(first))
        running = load.running()
        running.__enter__()
        load.until_each_was_answered(5)
    # The server was told to stop in the middle of it and is gone; now a second one begins.
    assert first.process.returncode == 0
    try:
        with running_server(tmp_path, listener=listener):
            load.until_each_was_answered(20)
            running.__exit__(None, None, None)
    finally:
        load._stop.set()
    assert load.wrong == []


def test_no_request_is_lost_by_a_reload(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        load = Load(enroll(server))
        with load.running():
            load.until_each_was_answered(5)
            for number in (2, 3):
                server.process.send_signal(signal.SIGHUP)
                while (
                    server.stderr().count("Booting worker") < number
                    or server.stderr().count("Worker exiting") < number - 1
                ):
                    load.until_each_was_answered(1)
            load.until_each_was_answered(10)
        assert load.wrong == []


class Watcher:
    """A program that watches; reads event by event."""

    def __init__(self, server: RunningServer, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        sent = {
            "X-API-Key": server.secrets["admin_key"],
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        self._connection.request("GET", "/api/v1/events", headers=sent)
        self.answer = self._connection.getresponse()

    def next(self) -> dict[str, str] | None:
        """The next event's fields; None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line != "\n":
                fields[name] = value
            elif "event" in fields:
                return fields
            else:
                fields = {}
        return None

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def test_watchers_hear_of_changes_and_are_let_go_at_once_when_the_server_stops(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:  # four threads: one stream
        watcher = Watcher(server)
        assert (watcher.answer.status, watcher.answer.getheader("Content-Type")) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        device = enroll(server)
        registered = watcher.next()
        assert registered is not None
        assert (registered["event"], json.loads(registered["data"])["id"]) == ("device.register", device.id)

        refused = server.request("GET", "/api/v1/events", key=server.secrets["admin_key"])
        assert (refused.status, refused.error["kind"]) == (503, "unavailable")
        assert refused.headers["Retry-After"] == "10"

        server.process.send_signal(signal.SIGTERM)
        assert watcher.next() is None
        # gunicorn would wait 30 seconds for a request that runs.
        assert server.process.wait(timeout=20) == 0
        watcher.close()
    with running_server(tmp_path) as server:
        watcher = Watcher(server, Last_Event_ID=registered["id"])
        again = watcher.next()
        assert again is not None
        assert again["event"] == "reset"
        watcher.close()


def test_a_watcher_that_has_gone_makes_room_for_the_next(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        first = Watcher(server)
        first.close()
        # It is noticed when something is to be sent to it.
        while (answer := Watcher(server)).answer.status == 503:
            answer.close()
            enroll(server)
        assert answer.answer.status == 200
        answer.close()
