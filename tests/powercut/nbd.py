"""Lends a ``LosingDisk`` to QEMU over a Unix socket: the part of the NBD protocol that QEMU's client needs.

Fixed newstyle handshake, simple replies; READ, WRITE, FLUSH and DISC. What is not offered (FUA, trim, zeroes) QEMU does
with these.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from tests.powercut.losing_disk import LosingDisk

_SERVER_MAGIC = b"NBDMAGICIHAVEOPT"
_OPTION_MAGIC = b"IHAVEOPT"
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC = 0x25609513
_REPLY_MAGIC = 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_HAS_FLAGS, _SEND_FLUSH = 1, 4
_OPTION_EXPORT_NAME, _OPTION_ABORT, _OPTION_INFO, _OPTION_GO = 1, 2, 6, 7
_REPLY_ACK, _REPLY_INFO, _REPLY_UNSUPPORTED = 1, 3, 0x80000001
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_EINVAL = 22
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")


class NbdServer:
    """Serves one client at a time, in a thread of its own, until it is closed."""

    def __init__(self, disk: LosingDisk, path: Path, saw: Callable[[bytes], None] = lambda _: None) -> None:
        """Listen at ``path``; ``saw`` is told every write, once it is held."""
        self._disk, self._saw = disk, saw
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, name="nbd", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; a connected client ends its connection itself."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with connection, contextlib.suppress(ConnectionError):
                if self._shake_hands(connection):
                    self._transmit(connection)

    def _shake_hands(self, connection: socket.socket) -> bool:
        """Whether the client wants the disk."""
        connection.sendall(_SERVER_MAGIC + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
        (client_flags,) = struct.unpack(">I", _receive(connection, 4))
        export = struct.pack(">QH", self._disk.size, _HAS_FLAGS | _SEND_FLUSH)
        while True:
            magic, option, length = struct.unpack(">8sII", _receive(connection, 16))
            if magic != _OPTION_MAGIC:
                raise ConnectionError("the client speaks another protocol")
            _receive(connection, length)  # the export's name and what else it asks: there is one export
            if option == _OPTION_EXPORT_NAME:
                connection.sendall(export + (b"" if client_flags & _NO_ZEROES else bytes(124)))
                return True
            if option in {_OPTION_INFO, _OPTION_GO}:
                self._answer(connection, option, _REPLY_INFO, struct.pack(">H", 0) + export)
                self._answer(connection, option, _REPLY_ACK)
                if option == _OPTION_GO:
                    return True
            elif option == _OPTION_ABORT:
                self._answer(connection, option, _REPLY_ACK)
                return False
            else:
                self._answer(connection, option, _REPLY_UNSUPPORTED)

    @staticmethod
    def _answer(connection: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
        connection.sendall(struct.pack(">QIII", _OPTION_REPLY_MAGIC, option, kind, len(data)) + data)

    def _transmit(self, connection: socket.socket) -> None:
        while True:
            magic, _flags, kind, handle, offset, length = _REQUEST.unpack(_receive(connection, _REQUEST.size))
            if magic != _REQUEST_MAGIC:
                raise ConnectionError("that is no request")
            error, data = 0, b""
            if kind == _READ:
                data = self._disk.read(offset, length)
            elif kind == _WRITE:
                written = _receive(connection, length)
                self._disk.write(offset, written)
                self._saw(written)
            elif kind == _FLUSH:
                self._disk.flush()
            elif kind == _DISCONNECT:
                return
            else:
                error = _EINVAL
            connection.sendall(_REPLY.pack(_REPLY_MAGIC, error, handle) + data)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ConnectionError("the client is gone")
        view = view[count:]
    return bytes(data)
