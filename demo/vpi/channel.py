"""JSON conversations over a Unix socket: QEMU's monitor (QMP) and the guest agent both speak one object a line."""

from __future__ import annotations

import json
import secrets
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ChannelError(RuntimeError):
    """The other side is gone, silent, or refused the command."""


class Channel:
    """One connection; ``execute`` sends a command and waits for its answer."""

    def __init__(self, path: Path, timeout: float) -> None:
        """Connect; ``timeout`` is in seconds and holds for every answer. Raises ``ChannelError``."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ChannelError(f"{path.name}: {error}") from error
        self._lines = self._socket.makefile("rb")

    def execute(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 -- the answer is whatever the command gives
        """Send one command and return its ``return`` value. Raises ``ChannelError``."""
        request = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self.read()
                if "return" in answer or "error" in answer:
                    break
        except OSError as error:
            raise ChannelError(f"{command}: {error}") from error
        if "error" in answer:
            raise ChannelError(f"{command}: {answer['error'].get('desc', answer['error'])}")
        return answer["return"]

    def sync(self) -> None:
        """Agree with the guest agent on a new start. Raises ``ChannelError``.

        An answer that an earlier connection did not wait for comes into the next one: every answer would then be taken
        for that of the command after it.
        """
        number = secrets.randbits(31)
        try:
            self._socket.sendall(json.dumps({"execute": "guest-sync", "arguments": {"id": number}}).encode() + b"\n")
            while self.read().get("return") != number:
                pass
        except (OSError, ValueError) as error:
            raise ChannelError(f"guest-sync: {error}") from error

    def read(self) -> dict[str, Any]:
        """The next object the other side sends: a greeting, an event, an answer."""
        line = self._lines.readline()
        if not line:
            raise ChannelError("the other side closed the connection")
        value: dict[str, Any] = json.loads(line.lstrip(b"\xff"))
        return value

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
