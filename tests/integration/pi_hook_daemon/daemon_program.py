"""A daemon as a process of its own: real clock, loop, sockets, signals; hands and server in memory (test_process)."""

from __future__ import annotations

import sys
from pathlib import Path

from pi_hook.clock import SystemClock, boot_id
from pi_hook.config import Settings
from pi_hook.daemon import Daemon, Parts
from pi_hook.hostinfo import Host
from pi_hook.sources import EvdevSource
from pi_hook.zone import device_zone
from tests.support.pi_hook_fakes import FakeClock, FakeServer, World


def main(folder: Path) -> None:
    """Run until SIGTERM; then say how often the loop woke up."""
    daemon = Daemon(
        Parts(
            settings=Settings("https://updates.example.org", "sample-assistant", enrollment_token="enroll-me"),
            hands=World().hands(),
            server=FakeServer(FakeClock()),
            clock=SystemClock(),
            host=Host("kitchen", "trixie", "arm64", None),
            zone=lambda servers: device_zone(None, servers=servers),
            boot_id=boot_id(),
            sources=(EvdevSource(str(folder / "event0")),),
            state_folder=folder / "state",
            run_folder=folder / "run",
        )
    )
    woken = 0
    run_once = daemon.loop.run_once

    def counting() -> None:
        nonlocal woken
        woken += 1
        run_once()

    daemon.loop.run_once = counting  # type: ignore[method-assign]  # counts
    try:
        daemon.begin()
        daemon.run()
    finally:
        daemon.close()
    sys.stdout.write(f"{woken}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
