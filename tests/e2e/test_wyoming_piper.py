"""A published voice program in the virtual Pi: 2.5.1, then 2.5.2 without its deps layer."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping

import pytest

from demo.agent import first_boot_settings
from demo.observe import PiView, ServerView
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.machine import VirtualPi

pytestmark = [pytest.mark.e2e, pytest.mark.network, pytest.mark.timeout(1500)]

NAME = "wyoming-piper"
UPDATE_BYTES = 250_000
DESCRIBE = """\
import json, socket
peer = socket.create_connection(("127.0.0.1", 10200), timeout=30)
peer.sendall(b'{"type": "describe"}\\n')
lines = peer.makefile("rb")
header = json.loads(lines.readline())
data = dict(header.get("data") or {})
data.update(json.loads(lines.read(header["data_length"])) if header.get("data_length") else {})
print(json.dumps({"type": header["type"], "data": data}))
"""


def test_update_of_wyoming_piper_fetches_no_deps_layer(
    stack: Stack,
    virtual_pi: Callable[[Mapping[str, bytes]], VirtualPi],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = bytes_served(stack)
    server = ServerView(stack, NAME)
    release(stack, "2.5.1")
    pi = virtual_pi(first_boot_settings(stack, NAME, idle_required_seconds=5, soak_seconds=10))
    device = PiView(pi, NAME)
    pi.boot()
    try:
        server.wait_for("2.5.1", {"succeeded"}, 900)
        first_bytes = bytes_served(stack) - before
        assert device.running() == "2.5.1"
        assert spoken_version(pi) == "2.5.1"

        release(stack, "2.5.2")
        server.wait_for("2.5.2", {"succeeded"}, 600)
    except Exception:
        print(device.journal(200))
        raise
    update_bytes = bytes_served(stack) - before - first_bytes
    with capsys.disabled():
        print(f"\nRESULT wyoming_piper_2_5_1_fetched {first_bytes} bytes")
        print(f"RESULT wyoming_piper_2_5_1_to_2_5_2_fetched {update_bytes} bytes")
    assert device.running() == "2.5.2"
    assert device.installed() == "2.5.2 install ok installed"
    assert spoken_version(pi) == "2.5.2"
    assert first_bytes > 10_000_000, "the deps layer came with the first release"
    assert update_bytes <= UPDATE_BYTES


def release(stack: Stack, version: str) -> None:
    words = ("--version", version, "--notes", f"wyoming-piper {version}", "--urgency", "urgent")
    targets = ("--target", "trixie/amd64", "--target", "trixie/arm64")
    for line in stack.release(*words, *targets, "--src", str(PROJECT / "examples" / "wyoming_piper")):
        print(line)


def spoken_version(pi: VirtualPi) -> str:
    """The version that the running service itself names in its answer to Wyoming's ``describe``."""
    answer = json.loads(pi.guest.run(f"python3 -c {shlex.quote(DESCRIBE)}"))
    assert answer["type"] == "info"
    return str(answer["data"]["tts"][0]["version"])


def bytes_served(stack: Stack) -> int:
    """All bytes of bodies that the server sent under /repo/ so far, from its log: indexes and packages."""
    return sum(int(size) for size in re.findall(r" GET /repo/\S+ \d+ (\d+)B ", stack.log("server")))
