"""The load: as fast as it goes with wrk (closed loop), or so many a second whatever the server does (open loop)."""

from __future__ import annotations

import heapq
import random
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import fleet
from demo.shell import run

CONNECTIONS = 16
HERE = Path(__file__).parent
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")


def rate(port: int, script: str, devices: int, begin: int, seconds: int) -> float:
    """Answered requests a second over 16 kept connections. Raises ``RuntimeError`` where any failed."""
    words: list[str | Path] = [
        "wrk",
        "-t",
        "1",
        "-c",
        str(CONNECTIONS),
        "-d",
        f"{seconds}s",
        "--timeout",
        "10s",
        "-s",
        HERE / script,
    ]
    out = run([*words, f"http://127.0.0.1:{port}", "--", str(devices), str(begin)])
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"requests have failed:\n{out}")
    (found,) = _RATE.findall(out)
    return float(found)


@dataclass(slots=True)
class _Exchange:
    due: float
    connection: socket.socket
    request: bytes
    answer: bytearray = field(default_factory=bytearray)


def open_loop(port: int, devices: int, per_second: float, seconds: float, seed: int = 1) -> list[float]:
    """Send heartbeats at random instants, ``per_second`` of them on average, each over a connection of its own, as
    devices do; returns milliseconds from the instant at which each was due until its answer was complete.

    Raises ``RuntimeError`` where any was not answered with 200.
    """
    chance = random.Random(seed)
    due: list[float] = []
    at = 0.0
    while (at := at + chance.expovariate(per_second)) < seconds:
        due.append(at)
    selector, waiting, taken = selectors.DefaultSelector(), list(enumerate(due)), []
    heapq.heapify(waiting)
    start, under_way = time.perf_counter(), 0
    while waiting or under_way:
        now = time.perf_counter() - start
        while waiting and waiting[0][1] <= now:
            number, when = heapq.heappop(waiting)
            exchange = _begin(port, (number * 7919) % devices, when)
            selector.register(exchange.connection, selectors.EVENT_WRITE, exchange)
            under_way += 1
        timeout = max(0.0, waiting[0][1] - (time.perf_counter() - start)) if waiting else 1.0
        for key, event in selector.select(timeout):
            if _go_on(selector, key.data, event):
                taken.append((time.perf_counter() - start - key.data.due) * 1000)
                under_way -= 1
    return taken


def _begin(port: int, device: int, due: float) -> _Exchange:
    body = (
        b'{"boot_id":"%s","sent_at":"2026-03-29T01:30:00Z","clock_synchronised":true,"uptime_seconds":3600,'
        b'"agent_version":"0.1.0","timezone":"Europe/Berlin","assistant":{"name":"%s","installed":"%s","active":"%s"},'
        b'"idle_seconds":120,"gate":{"decision":"nothing"}}'
        % (fleet.BOOT.encode(), fleet.ASSISTANT.encode(), fleet.VERSION.encode(), fleet.VERSION.encode())
    )
    head = (
        f"POST /api/v1/devices/{fleet.device_id(device)}/heartbeat HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
        f"Authorization: Bearer {fleet.token(device)}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(("127.0.0.1", port))
    return _Exchange(due, connection, head.encode() + body)


def _go_on(selector: selectors.BaseSelector, exchange: _Exchange, event: int) -> bool:
    """Send or receive; whether the answer is complete."""
    if event & selectors.EVENT_WRITE:
        exchange.connection.send(exchange.request)  # fits into a fresh connection's buffer
        selector.modify(exchange.connection, selectors.EVENT_READ, exchange)
        return False
    received = exchange.connection.recv(65536)
    exchange.answer += received
    if received:
        return False
    selector.unregister(exchange.connection)
    exchange.connection.close()
    if not exchange.answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"a heartbeat was answered with {bytes(exchange.answer[:200])!r}")
    return True


def main() -> None:
    """In a process of its own: ``port devices per_second seconds``; prints the milliseconds, one a line."""
    port, devices, per_second, seconds = sys.argv[1:]
    for each in open_loop(int(port), int(devices), float(per_second), float(seconds)):
        print(f"{each:.3f}")


if __name__ == "__main__":
    main()
