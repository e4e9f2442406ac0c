"""A relay on loopback that counts the bytes of each HTTP exchange, headers included, in front of the real server."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_TLS_HANDSHAKE = 0x16


@dataclass(slots=True)
class Exchange:
    """One connection: its first line, and the bytes of HTTP in either direction (inside TLS, where there is any)."""

    first_line: str = ""
    asked: int = 0
    answered: int = 0

    @property
    def bytes(self) -> int:
        return self.asked + self.answered


class CountingProxy:
    """Relays to a port of loopback. A client that begins with TLS is spoken TLS with, where a context was given."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._upstream, self._tls = port, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.exchanges: list[Exchange] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def seen(self, words: str) -> list[Exchange]:
        """The exchanges whose first line holds these words, in their order."""
        return [exchange for exchange in list(self.exchanges) if words in exchange.first_line]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self._tls is not None and client.recv(1, socket.MSG_PEEK) == bytes([_TLS_HANDSHAKE]):
                client = self._tls.wrap_socket(client, server_side=True)
            with client, socket.create_connection(("127.0.0.1", self._upstream)) as server:
                exchange = Exchange()
                self.exchanges.append(exchange)
                listening = [client, server]
                while server in listening:
                    for channel in _readable(listening):
                        data = channel.recv(65_536)
                        if not data:
                            listening.remove(channel)
                        elif channel is client:
                            exchange.first_line = exchange.first_line or data.partition(b"\r\n")[0].decode("latin-1")
                            exchange.asked += len(data)
                            server.sendall(data)
                        else:
                            exchange.answered += len(data)
                            client.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _readable(channels: list[socket.socket]) -> list[socket.socket]:
    """Those with something to read; what TLS has decrypted already no selector sees."""
    for channel in channels:
        if isinstance(channel, ssl.SSLSocket) and channel.pending():
            return [channel]
    return select.select(channels, [], [])[0]
