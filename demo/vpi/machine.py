"""One virtual Pi: boot it, talk to it, press its button, set its clock and zone, cut its power.

Plain emulation (``-accel tcg``): the same everywhere, and about as slow as a small Pi. The guest reaches one address of
the network only, the update server, as ``SERVER_ADDRESS``; everything else is cut off by QEMU's ``restrict=on``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.shell import run
from demo.vpi.channel import Channel, ChannelError
from demo.vpi.guest import Guest, GuestError
from demo.vpi.image import Disk

SERVER_ADDRESS = "10.0.2.100"
SERVER_PORT = 8000
SERVER_URL = f"http://{SERVER_ADDRESS}:{SERVER_PORT}"
BUTTON_DEVICE = "/dev/input/button"
BOOT_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the machine is made of."""

    memory_megabytes: int = 512
    processors: int = 2


class VirtualPi:
    """A running or switched-off virtual Pi whose disk is an overlay: the image below it is never written."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        server_port: int,
        boot_files: Mapping[str, bytes] | None = None,
        hardware: Hardware | None = None,
        *,
        root_drive: str | None = None,
    ) -> None:
        """Prepare a machine that is switched off.

        ``folder`` (made here) holds its disks, sockets and the console's log; ``server_port`` is one of this machine's.
        ``boot_files`` are put on the boot partition, ``/boot/firmware``, as one does with an SD card before first boot.
        ``root_drive`` is another root disk than an overlay of ``disk``, in the words of QEMU's ``-drive``.
        """
        self._disk = disk
        self._folder = folder
        self._server_port = server_port
        self._hardware = hardware or Hardware()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.guest = Guest(folder / "agent.sock")
        self.console = folder / "console.log"
        overlay = folder / "overlay.qcow2"
        self._root_drive = root_drive or f"file={overlay},format=qcow2,discard=unmap"
        self._boot_partition = folder / "bootfs.ext4"
        if root_drive is None and not overlay.exists():
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk.root.resolve(), "-F", "raw", overlay])
        if not self._boot_partition.exists():
            self._make_boot_partition(boot_files or {})

    @property
    def pid(self) -> int | None:
        """QEMU's process id while the machine is on."""
        return self._process.pid if self._process else None

    def boot(self, wait: bool = True, saved: Path | None = None) -> None:
        """Switch on and, with ``wait``, return when the guest answers. Raises ``GuestError`` where it does not.

        With ``saved``, a file of ``save``, it goes on from there, on a copy of the same disks.
        """
        for name in ("agent.sock", "monitor.sock"):
            (self._folder / name).unlink(missing_ok=True)
        with (self._folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command(), *(["-incoming", f"exec:cat {saved}"] if saved else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if saved is not None:
            self._go_on()
        if wait:
            self.wait_until_up()

    def wait_until_up(self) -> None:
        """Return when the guest answers. Raises ``GuestError`` with the console's end where it does not."""
        try:
            self.guest.wait_until_up(BOOT_SECONDS)
        except GuestError as error:
            logs = [self._folder / "qemu.log", self.console]
            tails = [log.read_text(errors="replace")[-2000:] for log in logs if log.exists()]
            raise GuestError(f"{error}\n{''.join(tails)}") from error

    def press_button(self) -> None:
        """Press and release the button once: a key event of the input device ``BUTTON_DEVICE``."""
        self._monitor("send-key", keys=[{"type": "qcode", "data": "spc"}], **{"hold-time": 80})

    def set_clock(self, instant: datetime) -> None:
        """Step the guest's wall clock to an aware instant."""
        self.guest.run(f"date --utc --set=@{instant.timestamp():.3f}")

    def set_zone(self, zone: str) -> None:
        """Set the guest's time zone, a name below /usr/share/zoneinfo."""
        self.guest.run(f"test -f /usr/share/zoneinfo/{zone} && ln -sf /usr/share/zoneinfo/{zone} /etc/localtime")

    def let_reboot(self) -> None:
        """From now on let the guest start again when it reboots; else that switches it off."""
        self._monitor("set-action", reboot="reset")

    def boot_id(self) -> str:
        """The kernel's name for the boot that it is in."""
        return self.guest.run("cat /proc/sys/kernel/random/boot_id").strip()

    def cut_power(self) -> None:
        """Stop at once, as pulling the plug does: what the guest has not flushed is lost."""
        with contextlib.suppress(ChannelError):
            self._monitor("quit")
        self._end()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stand still, in the middle of whatever it does: nothing is computed, written or sent meanwhile."""
        assert self._process is not None, "it is switched off"
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def save(self, file: Path, timeout: float = 300) -> None:
        """Write the running machine into a file and switch it off; all that it has written is then on its disks."""
        with self._monitored() as channel:
            # Standing still: what two emulated processors write meanwhile may be missed.
            channel.execute("stop")
            channel.execute("migrate", uri=f"exec:cat > {file}")
            deadline = time.monotonic() + timeout
            while (status := channel.execute("query-migrate").get("status")) != "completed":
                if status in {"failed", "cancelled"} or time.monotonic() > deadline:
                    raise ChannelError(f"the machine could not be saved into {file}: {status}")
                time.sleep(0.2)
        self.cut_power()

    def shut_down(self, timeout: float = 60) -> None:
        """Shut down in order; falls back to cutting the power after ``timeout`` seconds."""
        if self._process is None:
            return
        with contextlib.suppress(ChannelError):
            self._monitor("system_powerdown")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self._end()

    def _go_on(self) -> None:
        """Let a machine go on that was read from a file; as it was saved, it stands still."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(ChannelError), self._monitored() as channel:
                if channel.execute("query-status")["status"] != "inmigrate":
                    channel.execute("cont")
                    return
            time.sleep(0.1)
        raise GuestError(f"the saved machine could not be read within {BOOT_SECONDS:.0f} s")

    def _make_boot_partition(self, files: Mapping[str, bytes]) -> None:
        content = self._folder / "boot"
        content.mkdir()
        for name, data in files.items():
            (content / name).write_bytes(data)
        run(
            [
                "mke2fs",
                "-q",
                "-t",
                "ext4",
                "-L",
                "bootfs",
                "-E",
                "root_owner=0:0",
                "-d",
                content,
                self._boot_partition,
                "8M",
            ]
        )

    def _monitor(self, command: str, **arguments: object) -> None:
        with self._monitored() as channel:
            channel.execute(command, **arguments)

    @contextlib.contextmanager
    def _monitored(self) -> Iterator[Channel]:
        with Channel(self._folder / "monitor.sock", timeout=10) as channel:
            channel.read()  # the greeting
            channel.execute("qmp_capabilities")
            yield channel

    def _end(self) -> None:
        if self._process is None:
            return
        deadline = time.monotonic() + 5
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _command(self) -> list[str]:
        to_server = f"guestfwd=tcp:{SERVER_ADDRESS}:{SERVER_PORT}-cmd:socat STDIO TCP4:127.0.0.1:{self._server_port}"
        kernel_words = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=false mitigations=off"
        return [
            "qemu-system-x86_64",
            # x86-64-v2, which numpy asks for, and no more: what is wider than SSE is slow to emulate.
            *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
            *("-smp", str(self._hardware.processors), "-m", str(self._hardware.memory_megabytes)),
            *("-nodefaults", "-display", "none", "-no-reboot"),
            *("-serial", f"file:{self.console}"),
            *("-kernel", str(self._disk.kernel), "-initrd", str(self._disk.initrd), "-append", kernel_words),
            *("-drive", f"if=virtio,{self._root_drive}"),
            *("-drive", f"file={self._boot_partition},if=virtio,format=raw"),
            *("-netdev", f"user,id=net,restrict=on,{to_server}", "-device", "virtio-net-pci,netdev=net"),
            *("-device", "virtio-keyboard-pci", "-device", "virtio-rng-pci"),
            *("-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={self._folder / 'agent.sock'},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-qmp", f"unix:{self._folder / 'monitor.sock'},server=on,wait=off"),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.cut_power()
