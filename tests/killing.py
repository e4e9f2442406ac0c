"""SIGKILL of the server's worker, or of the whole server, while devices speak to it: what was acknowledged is there.

`make kill-server N=20`; the exit status is 1 where anything acknowledged is missing, or the database is not sound.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

from repo_server import ids, storage
from tests.support.fleet_bodies import announcement, heartbeat, registration, status, statuses
from tests.support.server import Reply, RunningServer, running_server

CLIENTS = 8
HEARTBEATS = 4
"""Of one device, between two of its statuses."""
MOST_SECONDS_BETWEEN = 1.5


@dataclass
class Acknowledged:
    """What the server has promised, by all clients together."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    devices: set[str] = field(default_factory=set)
    statuses: set[tuple[str, int]] = field(default_factory=set)
    heartbeats: int = 0
    problems: list[str] = field(default_factory=list)

    def snapshot(self) -> tuple[set[str], set[tuple[str, int]]]:
        with self.lock:
            return set(self.devices), set(self.statuses)


class Campaign:
    """A server that is killed again and again, and the clients that speak to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.known = Acknowledged()
        self.over = threading.Event()
        self._stack = ExitStack()
        self.server = self._start()
        key = self.server.key("builder")
        answer = self.server.request("POST", "/api/v1/updates/", body=announcement("1.1.0"), key=key)
        self.update = str(answer.json["id"])

    def run(self, kills: int) -> list[str]:
        """So many kills, every other of the whole server; returns what was found to be wrong."""
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        wrong: list[str] = []
        try:
            for number in range(1, kills + 1):
                self._wait_for_traffic()
                time.sleep(self.chance.uniform(0, MOST_SECONDS_BETWEEN))  # the instant is what is to be random
                before = self.known.snapshot()
                whole = number % 2 == 0
                self._kill_server() if whole else self._kill_worker()
                found = self.missing(*before)
                wrong += [f"kill {number}: {each}" for each in found]
                what = "server" if whole else "worker"
                print(f"kill {number:3} of the {what}: {len(before[0])} registrations, {len(before[1])} statuses "
                      f"acknowledged, {len(found)} missing", flush=True)  # fmt: skip
        finally:
            self.over.set()
            for client in clients:
                client.join()
        wrong += self.missing(*self.known.snapshot()) + self.known.problems
        self._stack.close()
        return wrong + storage.problems(self.server.database)

    def missing(self, devices: set[str], sequences: set[tuple[str, int]]) -> list[str]:
        """What of this is not in the database, read from the file itself."""
        with closing(sqlite3.connect(self.server.database)) as connection:
            there = {row[0] for row in connection.execute("SELECT id FROM devices")}
            events = set(
                connection.execute("SELECT device_id, sequence FROM device_update_events WHERE sequence IS NOT NULL")
            )
        lost = [f"device {each} is missing" for each in sorted(devices - there)]
        return lost + [f"status {number} of {device} is missing" for device, number in sorted(sequences - events)]

    def _wait_for_traffic(self) -> None:
        before = len(self.known.snapshot()[1])
        deadline = time.monotonic() + 120
        while len(self.known.snapshot()[1]) < before + CLIENTS:
            if time.monotonic() > deadline or self.known.problems:
                raise RuntimeError(f"nobody is served: {self.known.problems}\n{self.server.stderr()[-2000:]}")
            time.sleep(0.01)

    def _client(self, number: int) -> None:
        """Register a device, send its heartbeats and its statuses; then the next. Each request until it is answered."""
        try:
            while not self.over.is_set():
                self._device(f"token {number} {ids.uuid7(datetime.now(UTC))}")
        except Exception as error:  # noqa: BLE001 - told at the end
            self.known.problems.append(f"client {number}: {type(error).__name__}: {error}")

    def _device(self, token: str) -> None:
        device = ids.uuid7(datetime.now(UTC))
        body = registration(id=device, token_sha256=hashlib.sha256(token.encode()).hexdigest())
        if self._ask("/api/v1/devices/", body, self.server.secrets["enrollment_token"]):
            with self.known.lock:
                self.known.devices.add(device)
        for sequence, word in enumerate(("refreshed", "downloading", "downloaded", "installing"), start=1):
            for _ in range(HEARTBEATS):
                if self._ask(f"/api/v1/devices/{device}/heartbeat", heartbeat(), token):
                    with self.known.lock:
                        self.known.heartbeats += 1
            path = f"/api/v1/devices/{device}/updates/{self.update}/status"
            if self._ask(path, statuses(status(sequence, word)), token):
                with self.known.lock:
                    self.known.statuses.add((device, sequence))

    def _ask(self, path: str, body: object, token: str) -> bool:
        """Whether it was acknowledged; False where the campaign is over first."""
        while not self.over.is_set():
            answer: Reply | None = None
            with suppress(OSError, HTTPException):
                answer = self.server.request("POST", path, body=body, token=token)
            if answer is not None and answer.status in {200, 201}:
                return True
            if answer is not None and answer.status != 503:
                raise RuntimeError(f"{path} was answered with {answer.status}: {answer.content[:300]!r}")
            time.sleep(0.02)
        return False

    def _start(self) -> RunningServer:
        return self._stack.enter_context(running_server(self.folder))

    def _kill_worker(self) -> None:
        killed = self.server.workers()
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        while not set(self.server.workers()) - set(killed):  # gunicorn starts another
            time.sleep(0.01)

    def _kill_server(self) -> None:
        workers = self.server.workers()
        self.server.process.kill()  # first, or it would start new ones
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self.server.process.wait()
        self._stack.close()
        self.server = self._start()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-server-") as name:
        campaign = Campaign(Path(name), arguments.seed)
        wrong = campaign.run(arguments.kills)
    known = campaign.known
    for sentence in wrong:
        print(sentence)
    asked = known.heartbeats + len(known.devices) + len(known.statuses)
    print(f"RESULT kills {arguments.kills} kills")
    print(f"RESULT acknowledged_registrations {len(known.devices)} registrations")
    print(f"RESULT acknowledged_statuses {len(known.statuses)} statuses")
    print(f"RESULT acknowledged_requests {asked / (time.monotonic() - start):.0f} per second")
    print(f"RESULT missing_or_wrong {len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
