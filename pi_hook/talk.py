"""The client's end of the control socket."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

from pi_hook.errors import BadMessageError, NoDaemonError, PiHookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 30.0
"""The daemon may be in the middle of an exchange with a server that does not answer."""
_LARGEST_ANSWER = 262_144


@contextlib.contextmanager
def connected(path: Path, timeout: float = _SECONDS) -> Iterator[socket.socket]:
    """A connection to the daemon. Raises ``NoDaemonError``, also where the caller may not connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(timeout)
        try:
            channel.connect(str(path))
        except PermissionError as error:
            raise NoDaemonError(f"{path} is open to root and the group pi-hook only; use sudo or join it") from error
        except OSError as error:
            raise NoDaemonError(f"no daemon answers on {path}; `systemctl status pi-hook` tells why") from error
        yield channel


def ask(channel: socket.socket, command: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """One command and its answer. Raises ``PiHookError`` with the daemon's words where it refuses."""
    try:
        channel.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
        received = bytearray()
        while not received.endswith(b"\n") and len(received) <= _LARGEST_ANSWER:
            data = channel.recv(65_536)
            if not data:
                raise NoDaemonError("the daemon ended the connection; `systemctl status pi-hook` tells why")
            received += data
        answer = json.loads(received)
    except (OSError, ValueError) as error:
        raise NoDaemonError(f"the daemon does not answer: {error}") from error
    if not isinstance(answer, dict):
        raise BadMessageError("the daemon's answer is not an object")
    if answer.get("ok") is not True:
        refusal = answer.get("error") or {}
        raise PiHookError(str(refusal.get("message", "the daemon refuses")), kind=str(refusal.get("kind", "error")))
    return answer
