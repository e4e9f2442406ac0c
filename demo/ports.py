"""Ports of this machine for servers that are started a moment later."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 20_000, 32_000
"""Below those that Linux gives to connections on their way out, which could take one meanwhile."""
_TRIES = 200
_reserved: list[int] = []
"""File descriptors: nothing closes them but the end of the process."""


class NoPortError(RuntimeError):
    """There is none."""


def free_port(wanted: int = 0) -> int:
    """A TCP port that is free on loopback; ``wanted`` where it is one. Raises ``NoPortError``.

    It is handed to nobody else until this process ends: several test runs look for ports at the same time, and each
    starts its server later.
    """
    chance = random.SystemRandom()
    for port in [*([wanted] if wanted else []), *chance.sample(range(FIRST, LAST), _TRIES)]:
        if _reserve(port):
            return port
    raise NoPortError(f"none of {_TRIES} ports is free on 127.0.0.1; end what listens there and try again")


def _reserve(port: int) -> bool:
    # A name in Linux's abstract namespace (unix(7)): one process has it, and it goes with the process.
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0pi-ota-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        name.close()
        return False
    _reserved.append(name.detach())
    return True
