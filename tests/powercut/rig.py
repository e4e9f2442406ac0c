"""One virtual Pi on a losing disk, with a server of its own: switched on, cut, looked at, put away."""

from __future__ import annotations

import contextlib
import random
import shlex
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.agent import HEARTBEAT_SECONDS
from demo.observe import PiView, ServerView
from demo.ports import free_port
from demo.stack import Stack
from demo.vpi.image import Disk
from demo.vpi.machine import VirtualPi
from tests.powercut.losing_disk import Cut, LosingDisk, copy_disk
from tests.powercut.nbd import NbdServer
from tests.powercut.payloads import Payload
from tests.powercut.phases import Phases
from tests.powercut.trap import Trap

_ON_ITS_WAY_SECONDS = 0.4
"""What the device had sent when the power was cut is with the server by then."""
_DATABASE = "repo_server.db"


class Rig:
    """A virtual Pi whose root disk is a ``LosingDisk`` in ``folder``."""

    def __init__(self, image: Disk, folder: Path, stack: Stack, payload: Payload, boot_files: dict[str, bytes]) -> None:
        self._image, self._folder = image, folder
        self.stack, self.payload = stack, payload
        self.phases = Phases(f'"version": "{payload.new}"'.encode())
        self.trap = Trap()
        self._socket = folder / "disk.sock"
        self._disk: LosingDisk | None = None
        self._nbd: NbdServer | None = None
        folder.mkdir(parents=True, exist_ok=True)
        drive = f"file.driver=nbd,file.server.type=unix,file.server.path={self._socket},format=raw"
        self.pi = VirtualPi(image, folder / "pi", stack.port, boot_files, root_drive=drive)
        self.device = PiView(self.pi, payload.name)
        self.server = ServerView(stack, payload.name)

    def power_on(self, saved: Path | None = None) -> None:
        """Boot, or go on from a saved machine; returns when the guest answers."""
        self._disk = LosingDisk(self._image.root, self._folder / "disk")
        self._socket.unlink(missing_ok=True)
        self._nbd = NbdServer(self._disk, self._socket, self._saw)
        self.pi.boot(saved=saved)
        if saved is not None:  # its clock stood still meanwhile
            self.pi.set_clock(datetime.now(UTC))

    def _saw(self, data: bytes) -> None:
        self.phases.saw(data)
        self.trap.saw(data)

    def cut(self, folder: Path, chance: random.Random) -> tuple[Cut, list[dict[str, Any]]]:
        """Put into ``folder`` what a power cut at this instant leaves of the device, and the server as it is then.

        The machine stands still meanwhile and goes on afterwards. The second value is the server's record of it.
        """
        assert self._disk is not None, "it is switched off"
        with self.pi.frozen():
            cut = self._disk.cut(folder / "disk", chance)
            time.sleep(_ON_ITS_WAY_SECONDS)
            (folder / "pi").mkdir()
            shutil.copyfile(self._folder / "pi" / "bootfs.ext4", folder / "pi" / "bootfs.ext4")
            record = self.server.events(self.payload.new)
            copy_server(self.stack.state, folder / "stack")
        return cut, record

    def unsent(self) -> int:
        """How many statuses the device still has to tell the server."""
        return int((self.device.status().get("server") or {"unsent": 1})["unsent"])

    def answered_version(self) -> str:
        """The version that the assistant itself answers with; empty where it does not answer."""
        ask = (
            f"systemctl --quiet is-active {self.payload.name} && timeout 30 python3 -c {shlex.quote(self.payload.ask)}"
        )
        done = self.pi.guest.try_run(ask)
        return (done.out.split() or [""])[-1] if done.status == 0 else ""

    def save(self, machine: Path) -> None:
        """Write the running machine into a file and switch it off; the disk's folder belongs to it."""
        assert self._disk is not None, "it is switched off"
        self.pi.save(machine)
        self._disk.save()
        self.close()

    def close(self) -> None:
        """Switch off, whatever state it is in."""
        self.pi.cut_power()
        if self._nbd is not None:
            self._nbd.close()
        if self._disk is not None:
            self._disk.close()
        self._nbd = self._disk = None


def copy_device(source: Path, folder: Path) -> None:
    """Copy disk and boot partition of a device that is switched off."""
    copy_disk(source / "disk", folder / "disk")
    (folder / "pi").mkdir()
    shutil.copyfile(source / "pi" / "bootfs.ext4", folder / "pi" / "bootfs.ext4")


def copy_server(source: Path, folder: Path) -> None:
    """Copy the state folder of a stack, running or not, without what is published."""
    shutil.copytree(source / "secrets", folder / "secrets")
    shutil.copytree(source / "server", folder / "server", ignore=shutil.ignore_patterns(f"{_DATABASE}*"))
    with (
        contextlib.closing(sqlite3.connect(source / "server" / _DATABASE)) as live,
        contextlib.closing(sqlite3.connect(folder / "server" / _DATABASE)) as copy,
    ):
        live.backup(copy)


@contextlib.contextmanager
def rig_in(folder: Path, snapshot: Path, image: Disk, payload: Payload) -> Iterator[Rig]:
    """The rig whose device and server lie in ``folder``; all is ended afterwards."""
    published = snapshot / "stack" / "aptly" / "public"
    stack = Stack(folder / "stack", port=free_port(), heartbeat_seconds=HEARTBEAT_SECONDS, repository=published)
    rig = Rig(image, folder, stack, payload, {})
    try:
        yield rig
    finally:
        rig.close()
        stack.stop()
