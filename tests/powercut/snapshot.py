"""The state before the offer, made once: a running device with the old version, saved; the new one published after."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.agent import HEARTBEAT_SECONDS, disk_with_agent, first_boot_settings
from demo.observe import until
from demo.ports import free_port
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.image import Disk
from tests.powercut.payloads import Payload
from tests.powercut.rig import Rig

SOAK_SECONDS = 4
_SOURCES = ("pi_hook", "debian", "pkgbuild", "examples", "demo/agent.py", "demo/vpi/recipe.json")
"""What is on the device. The server is started anew for each round, from this checkout."""


def prepare(folder: Path, payloads: Sequence[Payload], say: Callable[[str], None]) -> Disk:
    """Make the snapshots of these payloads in ``folder``, or take those that are there and of this checkout.

    In ``folder``: ``stack`` (a stopped stack) and, for each payload, ``disk``, ``pi/bootfs.ext4`` and ``machine``.
    """
    made_from = {"sources": _digest(), "payloads": sorted(payload.name for payload in payloads)}
    note = folder / "made-from.json"
    stack = Stack(folder / "stack", port=free_port(), heartbeat_seconds=HEARTBEAT_SECONDS)
    if note.exists() and json.loads(note.read_text()) == made_from:
        return disk_with_agent(stack, PROJECT / ".cache", say)
    shutil.rmtree(folder, ignore_errors=True)
    with stack:
        image = disk_with_agent(stack, PROJECT / ".cache", say)
        for payload in payloads:
            _install_old(folder / payload.name, image, stack, payload, say)
        # No device is switched on now, so none has heard of these.
        for payload in payloads:
            _release(stack, payload, payload.new)
    note.write_text(json.dumps(made_from))
    return image


def _install_old(folder: Path, image: Disk, stack: Stack, payload: Payload, say: Callable[[str], None]) -> None:
    say(f"{payload.name}: releasing {payload.old} and installing it in a virtual Pi")
    _release(stack, payload, payload.old)
    settings = first_boot_settings(stack, payload.name, idle_required_seconds=1, soak_seconds=SOAK_SECONDS)
    rig = Rig(image, folder, stack, payload, settings)
    try:
        rig.power_on()
        rig.server.wait_for(payload.old, {"succeeded"}, payload.install_seconds)
        until("an empty outbox", lambda: rig.unsent() == 0, 60)
        rig.save(folder / "machine")
    except Exception:
        say(rig.device.journal(100))
        raise
    finally:
        rig.close()


def _release(stack: Stack, payload: Payload, version: str) -> None:
    words = ("--version", version, "--notes", version, "--urgency", "urgent", "--target", "trixie/amd64")
    for _ in stack.release(*words, "--src", str(PROJECT / payload.source)):
        pass


def _digest() -> str:
    """Of all that goes into a snapshot."""
    whole = hashlib.sha256()
    for name in _SOURCES:
        paths = [PROJECT / name] if (PROJECT / name).is_file() else sorted((PROJECT / name).rglob("*"))
        for path in paths:
            if path.is_file() and path.suffix != ".pyc":
                whole.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()
