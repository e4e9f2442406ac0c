"""systemd's notification socket: READY, WATCHDOG, STATUS, STOPPING (sd_notify(3)). Silent where there is none."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def notify(*lines: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send lines such as ``READY=1``; a systemd that does not listen is no reason to stop."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto("\n".join(lines).encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often to send WATCHDOG=1: half the time that systemd allows; None where it does not watch."""
    try:
        allowed = int(environment.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return allowed / 2_000_000 if allowed > 0 else None
