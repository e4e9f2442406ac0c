"""What is updated while the power is cut: a synthetic and a published payload, and how each is asked if it lives."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.test_wyoming_piper import DESCRIBE

_SAMPLE = """\
import json, socket
peer = socket.create_connection(("127.0.0.1", 10700), timeout=10)
peer.sendall(b"version\\n")
print(json.loads(peer.makefile().readline())["version"])
"""
_PIPER = DESCRIBE + 'print(data["tts"][0]["version"])\n'


@dataclass(frozen=True, slots=True)
class Payload:
    """One assistant with two versions of it."""

    name: str
    source: str
    old: str
    new: str
    ask: str
    """A Python program that prints, as its last line, the version that the running assistant itself answers with."""
    install_seconds: float
    """The longest that the first installation may take."""


SAMPLE = Payload("sample-assistant", "examples/sample_assistant", "1.0.0", "1.1.0", _SAMPLE, 400)
PIPER = Payload("wyoming-piper", "examples/wyoming_piper", "2.5.1", "2.5.2", _PIPER, 1500)
PAYLOADS = {payload.name: payload for payload in (SAMPLE, PIPER)}
