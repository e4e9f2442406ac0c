"""The control socket: one JSON object a line, each answered by one line; the messages are those of INTERFACES.md.

A client that misbehaves (a line too long, no JSON, an answer not read) loses its connection and disturbs nobody. A
connection's end is told to the handler, as it ends the connection's busy period.
"""

from __future__ import annotations

import contextlib
import grp
import json
import logging
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pi_hook.errors import BadMessageError, PiHookError

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.loop import Loop

_log = logging.getLogger(__name__)
LONGEST_LINE = 4096
MOST_CLIENTS = 32
GROUP = "pi-hook"
_MODE = 0o660
_CREDENTIALS = struct.Struct("iII")
"""``struct ucred``: process, user, group."""


class Handler(Protocol):
    """Who answers. Raises ``PiHookError`` for a message that cannot be done."""

    def handle(self, sender: int, message: dict[str, Any], *, root: bool) -> dict[str, Any]: ...

    def gone(self, sender: int) -> None: ...


@dataclass(eq=False, slots=True)
class _Client:
    channel: socket.socket
    number: int
    root: bool
    """Whether the process at the other end is root's."""
    buffer: bytearray = field(default_factory=bytearray)


class ControlServer:
    """Listens at ``path``; a stale socket of a daemon that is gone is replaced."""

    def __init__(self, loop: Loop, path: Path, handler: Handler) -> None:
        self._loop, self._path, self._handler = loop, path, handler
        self._clients: dict[int, _Client] = {}
        self._next = 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)  # nobody may connect before owner and mode are right
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        with contextlib.suppress(LookupError, PermissionError):  # no such group in a checkout; root alone then
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
        path.chmod(_MODE)
        self._listener.listen(MOST_CLIENTS)
        loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """End every connection and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            channel, _ = self._listener.accept()
            if len(self._clients) >= MOST_CLIENTS:
                _log.warning("the control socket has %d clients; one more is turned away", MOST_CLIENTS)
                channel.close()
                return
            channel.setblocking(False)  # the library's own signature
            client = _Client(channel, self._next, _user(channel) == 0)
            self._next += 1
            self._clients[client.number] = client
            self._loop.add_reader(channel.fileno(), lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        try:
            data = client.channel.recv(LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.buffer += data
        *lines, rest = bytes(client.buffer).split(b"\n")
        client.buffer[:] = rest
        alive = all(self._answer(client, line) for line in lines if line.strip())
        if len(rest) > LONGEST_LINE:
            self._send(client, _refusal("too_large", f"a line may have at most {LONGEST_LINE} bytes"))
            alive = False
        if not data or not alive:
            self._drop(client)

    def _answer(self, client: _Client, line: bytes) -> bool:
        try:
            message = json.loads(line)
            if not isinstance(message, dict) or not isinstance(message.get("command"), str):
                raise BadMessageError('send one JSON object a line, such as {"command": "activity"}')
            answer = {"ok": True, **self._handler.handle(client.number, message, root=client.root)}
        except (ValueError, RecursionError):
            answer = _refusal("bad_request", "the line is not JSON")
        except PiHookError as error:
            answer = _refusal(error.kind, str(error))
        return self._send(client, answer)

    def _send(self, client: _Client, answer: dict[str, Any]) -> bool:
        try:
            client.channel.sendall(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
        except OSError:  # gone, or it does not read what it asked for
            return False
        return True

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.number, None) is not None:
            self._loop.remove_reader(client.channel.fileno())
            client.channel.close()
            self._handler.gone(client.number)


def _user(channel: socket.socket) -> int:
    """The user at the other end, as the kernel says."""
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _refusal(kind: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"kind": kind, "message": message}}
