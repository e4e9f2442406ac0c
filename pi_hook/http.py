"""One request on a connection of its own, bounded in time and size; over TLS with the system's authorities.

Not ``http.client``: with the mail parser, the address library and the codec for international names that it brings it
takes 2 of the 19 MB that the daemon may use. What the agent needs of HTTP/1.1 (RFC 9112) is little: it asks the server
to close the connection, and takes a body with a length, in chunks, or up to the end.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pi_hook.proxy import Proxy

LARGEST_BODY = 65_536
"""Bytes; of a larger one only so much is read as shows that it is larger."""
_LARGEST_HEAD = 16_384
_RECEIVED_AT_ONCE = 65_536
_PATIENCE = 6
"""How many times the timeout an answer may take that comes in drops: the daemon does nothing else meanwhile."""
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5]\d\d)(?: (.*))?")
_INTERIM = range(100, 200)
_OK = range(200, 300)
_BODILESS = frozenset({204, 304})
_NUMBER = re.compile(r"\d{1,10}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_DEFAULT_PORTS = {False: 80, True: 443}


class HttpError(Exception):
    """What came back is no answer in HTTP, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; the names of ``headers`` are in small letters."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Address:
    """A server: host (a name in ASCII or an IP address without brackets), port, TLS or not."""

    def __init__(self, host: str, port: int, *, tls: bool, timeout: float, proxy: Proxy | None = None) -> None:
        """``timeout`` in seconds holds for connecting and for each read, six times it for a whole answer.

        Through a ``proxy`` TLS is spoken with the server itself, inside a tunnel.
        """
        self._host, self._port, self._tls, self._timeout, self._proxy = host, port, tls, timeout, proxy
        shown = f"[{host}]" if ":" in host else host
        self._authority = f"{shown}:{port}"
        self._shown = shown if port == _DEFAULT_PORTS[tls] else self._authority
        self._context: ssl.SSLContext | None = None

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        """Send a request and hear the answer. Raises ``OSError`` (TLS errors are) and ``HttpError``."""
        fields = {"Host": self._shown, "Connection": "close", **headers}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        if self._proxy is not None and not self._tls:
            path, fields = f"http://{self._authority}{path}", {**fields, **self._proxy.headers}
        request = _head(f"{method} {path}", fields) + (body or b"")
        with self._connected() as channel:
            channel.sendall(request)
            return self._receive(channel, head_only=method == "HEAD")

    def _connected(self) -> socket.socket:
        host, port = (self._host, self._port) if self._proxy is None else (self._proxy.host, self._proxy.port)
        # Bytes: for a str the codec for international names would be loaded, 0.3 MB.
        channel = socket.create_connection((host.encode("ascii"), port), self._timeout)  # type: ignore[arg-type]
        if not self._tls:
            return channel
        try:
            if self._proxy is not None:
                self._tunnel(channel, self._proxy)
            return self._tls_context().wrap_socket(channel, server_hostname=self._host.encode("ascii"))
        except BaseException:
            channel.close()
            raise

    def _tunnel(self, channel: socket.socket, proxy: Proxy) -> None:
        channel.sendall(_head(f"CONNECT {self._authority}", {"Host": self._authority, **proxy.headers}))
        answer = self._receive(channel, head_only=True)
        if answer.status not in _OK:  # not told as a status: it says nothing of the server
            raise HttpError(f"the proxy opens no tunnel, but answers {answer.status} {answer.reason}")

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            import ssl  # noqa: PLC0415  # 2 MB that a development server without TLS does not cost

            # Authorities are looked up in Debian's folder of hashed names when one is asked for: reading all 150 at
            # once takes 0.6 MB, and half a second on a small Pi.
            self._context = ssl.create_default_context(capath=ssl.get_default_verify_paths().capath)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        return self._context

    def _receive(self, channel: socket.socket, *, head_only: bool = False) -> Reply:
        deadline = time.monotonic() + _PATIENCE * self._timeout
        received = bytearray()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out in the middle of the answer")
            channel.settimeout(min(self._timeout, left))
            data = channel.recv(_RECEIVED_AT_ONCE)
            received += data
            enough = not data or len(received) > _LARGEST_HEAD + 2 * LARGEST_BODY
            reply = parse(bytes(received), ended=enough, head_only=head_only)
            if reply is not None:
                return reply


def _head(request: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{request} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise HttpError("a header holds a line break")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def parse(received: bytes, *, ended: bool, head_only: bool = False) -> Reply | None:
    """The answer in what was received; None where more has to come and the connection has not ``ended``.

    ``head_only``: it has no body, as to HEAD or where it opens a tunnel. Raises ``HttpError``, also for a body that has
    ended too early, unless it is too large already.
    """
    status, reason, rest = 100, "", received
    while status in _INTERIM:
        head, found, rest = rest.partition(b"\r\n\r\n")
        if not found and not ended and len(head) <= _LARGEST_HEAD:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        status_line = _STATUS_LINE.fullmatch(first)
        if not found or status_line is None:
            raise HttpError(f"no answer in HTTP, but {first[:60]!r}" if first else "the connection ended unanswered")
        status, reason = int(status_line[1]), status_line[2] or ""
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body, whole = (b"", True) if head_only or status in _BODILESS else _body(headers, rest, ended=ended)
    if not whole and len(body) <= LARGEST_BODY:
        if ended:
            raise HttpError("the answer is cut off")
        return None
    return Reply(status, reason, headers, body)


def _body(headers: Mapping[str, str], rest: bytes, *, ended: bool) -> tuple[bytes, bool]:
    """What there is of the body, and whether that is all of it."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _joined(rest)
    length = headers.get("content-length")
    if length is None:
        return rest, ended
    if not _NUMBER.fullmatch(length):
        raise HttpError(f"the answer's length is {length[:60]!r}")
    return rest[: int(length)], len(rest) >= int(length)


def _joined(rest: bytes) -> tuple[bytes, bool]:
    """The chunks' contents, and whether the last chunk was among them; what may follow that is not looked at."""
    body = bytearray()
    while True:
        line = _CHUNK_LINE.match(rest)
        if line is None:
            if b"\r\n" in rest:
                raise HttpError("a chunk of the answer has no length")
            return bytes(body), False
        size = int(line[1], 16)
        if size == 0:
            return bytes(body), True
        chunk = rest[line.end() : line.end() + size]
        body += chunk
        rest = rest[line.end() + size :]
        if len(chunk) < size or len(rest) < len(b"\r\n"):
            return bytes(body), False
        if not rest.startswith(b"\r\n"):
            raise HttpError("a chunk of the answer has another length than it says")
        rest = rest[len(b"\r\n") :]
