"""Runs inside the virtual Pi: asks the sample assistant all the time; a line for each time it did not answer."""

from __future__ import annotations

import json
import socket
import time

_EVERY = 0.025


def version() -> str | None:
    """The release that answers, or None."""
    try:
        with socket.create_connection(("127.0.0.1", 10700), timeout=5) as line:
            line.sendall(b"version\n")
            return str(json.loads(line.makefile().readline())["version"])
    except (OSError, ValueError):
        return None


def main() -> None:
    """From the last answer of one process to the first of the next."""
    before, answered, silent = version(), time.monotonic(), False
    while True:
        time.sleep(_EVERY)
        now = version()
        if now is None:
            silent = True
            continue
        if silent and before is not None:
            gap = {"seconds": time.monotonic() - answered, "before": before, "after": now}
            print(json.dumps(gap), flush=True)
        before, answered, silent = now, time.monotonic(), False


if __name__ == "__main__":
    main()
