"""What the operators' pages cost with 100,000 devices: the server's time for each, and the bytes of a first visit.

Prints a line ``RESULT name value unit`` for each figure and writes them to ``build/bench/desk.json``. The exit status
is 1 where a limit is not kept. The server is gunicorn as `repo-server serve` starts it; requests come one after the
other over one kept connection, once what each page reads is in the machine's memory.
"""

from __future__ import annotations

import http.client
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.figures import Figures
from benchmarks.serving import servers
from demo.shell import PROJECT
from tests.desk.browsing import chromium
from tests.desk.pages import Look, looks
from tests.seeding import Seeded, seed

DEVICES = 100_000
WARM_UP, REQUESTS = 5, 40
MOST_MILLISECONDS = 100
MOST_KILOBYTES = 300


@dataclass(frozen=True, slots=True)
class Taken:
    """One page's sorted milliseconds, each from the request's first byte to the answer's last."""

    look: Look
    milliseconds: list[float]
    size: int

    @property
    def median(self) -> float:
        return round(statistics.median(self.milliseconds), 2)

    @property
    def p95(self) -> float:
        return round(self.milliseconds[int(len(self.milliseconds) * 0.95)], 2)


def cookie(port: int, key: str) -> str:
    """Sign in; what a browser would send from then on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/v1/session", headers={"X-API-Key": key})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 201:
        raise RuntimeError(f"signing in was answered with {answer.status}")
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def timed(port: int, look: Look, session: str) -> Taken:
    """Ask for a page again and again. Raises ``RuntimeError`` where it is not answered as it should be."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Accept": "text/html", "Accept-Encoding": "gzip"} | ({"Cookie": session} if look.role else {})
    taken, size = [], 0
    for number in range(WARM_UP + REQUESTS):
        begin = time.perf_counter()
        connection.request("GET", look.path, headers=headers)
        answer = connection.getresponse()
        size = len(answer.read())
        if number >= WARM_UP:
            taken.append((time.perf_counter() - begin) * 1000)
        if answer.status != look.status:
            raise RuntimeError(f"{look.path} was answered with {answer.status}")
    connection.close()
    return Taken(look, sorted(taken), size)


def first_visit(browser: Browser, port: int, key: str, path: str) -> float:
    """Kilobytes (of 1,000) that come over the wire when somebody without anything kept signs in and sees ``path``."""
    context = browser.new_context()
    page = context.new_page()
    sizes: list[float] = []
    wire = context.new_cdp_session(page)
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    wire.send("Network.enable")
    page.goto(f"http://127.0.0.1:{port}/sign-in?next={path}")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")
    page.wait_for_load_state("load")
    page.wait_for_function("document.readyState === 'complete'")
    context.close()
    return round(sum(sizes) / 1000, 1)


def pages(figures: Figures, server: servers.Server, seeded: Seeded) -> None:
    """Each page's time."""
    sessions = {role: cookie(server.port, key) for role, key in seeded.keys.items()}
    taken = [timed(server.port, look, sessions.get(look.role or "", "")) for look in looks(seeded)]
    for one in taken:
        beside = f"p95 {one.p95} ms, {one.size / 1000:.1f} kB"
        figures.add(f"desk_{one.look.name.replace('-', '_')}", one.median, "ms", beside=beside)
    heaviest = max(taken, key=lambda one: one.median)
    figures.add(
        "desk_heaviest_page",
        heaviest.median,
        "ms",
        limit=MOST_MILLISECONDS,
        beside=f"the median of {heaviest.look.name}",
    )
    slowest = max(taken, key=lambda one: one.p95)
    figures.add("desk_slowest_p95", slowest.p95, "ms", limit=MOST_MILLISECONDS, beside=f"of {slowest.look.name}")


def main() -> int:
    """Measure everything; the exit status."""
    figures = Figures()
    figures.add("processors", os.cpu_count() or 0, "processors", beside="the client runs on them too")
    with tempfile.TemporaryDirectory(prefix="bench-desk-") as name:
        state = Path(name) / "state"
        seeded = seed(state, DEVICES, datetime.now(UTC))
        figures.add("devices", DEVICES, "devices")
        with servers.ours(state, threads="24") as server:
            pages(figures, server, seeded)
            with chromium() as browser:
                for path, word in (("/", "first_visit"), ("/devices", "first_visit_of_devices")):
                    size = first_visit(browser, server.port, seeded.keys["operator"], path)
                    figures.add(f"desk_{word}", size, "kB", limit=MOST_KILOBYTES, beside="signing in, then the page")
            figures.add("desk_worker_memory", server.peak_memory(), "MB", beside="the most the worker held")
    figures.write(PROJECT / "build" / "bench" / "desk.json")
    return figures.status


if __name__ == "__main__":
    sys.exit(main())
