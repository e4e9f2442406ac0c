"""How figures are printed, kept and judged, and that the counting relay counts."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from benchmarks.figures import Figures
from benchmarks.proxy import CountingProxy


def test_a_figure_is_a_line_for_programs_and_one_for_its_limit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figures = Figures()
    figures.add("daemon_pss", 17.25, "MB", limit=19, beside="bare: 16")
    figures.add("downtime", 2.5, "s")
    assert capsys.readouterr().out.splitlines() == [
        "RESULT daemon_pss 17.25 MB",
        "  ok    daemon_pss: at most 19 MB",
        "        (bare: 16)",
        "RESULT downtime 2.5 s",
    ]
    assert figures.status == 0
    figures.add("written", 4096, "bytes", limit=0)
    assert "  over  written: at most 0 bytes" in capsys.readouterr().out
    assert figures.status == 1
    figures.write(tmp_path / "bench" / "device.json")
    kept = json.loads((tmp_path / "bench" / "device.json").read_text())["figures"]
    assert [(figure["name"], figure["value"], figure["ok"]) for figure in kept] == [
        ("daemon_pss", 17.25, True),
        ("downtime", 2.5, True),
        ("written", 4096, False),
    ]


def test_the_relay_counts_both_directions_and_passes_everything_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            channel, _ = listener.accept()
            with channel:
                channel.recv(100)
                channel.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            CountingProxy(listener.getsockname()[1]) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
        ):
            client.sendall(b"GET /a HTTP/1.1\r\n\r\n")
            received = b"".join(iter(lambda: client.recv(65_536), b""))
        thread.join()
    assert len(received) == 100_019
    (exchange,) = proxy.seen("/a")
    assert (exchange.asked, exchange.answered, exchange.bytes) == (19, 100_019, 100_038)
    assert proxy.seen("/b") == []
