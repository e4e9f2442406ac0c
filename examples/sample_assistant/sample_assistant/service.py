"""The talk port: one line in, one JSON object out, on TCP at 127.0.0.1.

Environment: SAMPLE_ASSISTANT_PORT (10700), SAMPLE_ASSISTANT_CRASH (1: crash at start), and PI_OTA_RELEASE, which the
launcher sets.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import time
from datetime import timedelta
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

import humanize
from wcwidth import wcswidth

CONTROL_SOCKET = Path("/run/pi-hook/control.sock")
DEFAULT_PORT = 10700


def port() -> int:
    """The TCP port of the talk service."""
    return int(os.environ.get("SAMPLE_ASSISTANT_PORT", str(DEFAULT_PORT)))


def report_use(control: Path = CONTROL_SOCKET) -> None:
    """Tell pi-hook that a person is using the assistant; an assistant works just as well where there is none."""
    try:
        with socket(AF_UNIX, SOCK_STREAM) as line:
            line.settimeout(1)
            line.connect(str(control))
            line.sendall(b'{"command": "activity"}\n')
            line.recv(1024)
    except OSError:
        pass


class Talk(socketserver.StreamRequestHandler):
    """One conversation. An empty line or ``version`` is answered without counting as use."""

    timeout = 10
    started = time.monotonic()

    def handle(self) -> None:
        """Answer one line."""
        said = self.rfile.readline(4096).decode("utf-8", "replace").strip()
        if said not in ("", "version"):
            report_use()
        answer = {
            "name": "sample-assistant",
            "version": os.environ.get("PI_OTA_RELEASE"),
            "up": humanize.naturaldelta(timedelta(seconds=time.monotonic() - self.started)),
            "heard": said,
            "columns": wcswidth(said),
        }
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    """The talk port's server."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve until told to stop."""
    if os.environ.get("SAMPLE_ASSISTANT_CRASH") == "1":
        raise RuntimeError("SAMPLE_ASSISTANT_CRASH is set: this release cannot start")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with Server(("127.0.0.1", port()), Talk) as server:
        print(f"sample assistant {os.environ.get('PI_OTA_RELEASE')} listens on port {port()}", flush=True)
        server.serve_forever()
