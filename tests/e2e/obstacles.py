"""What can stand in an update's way, really put there: each a context manager that takes it away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from demo.observe import until
from tests.e2e.stories import SEEN_SECONDS, Story

Obstacle = Callable[[Story, str], AbstractContextManager[None]]
LEFT_FREE_MEGABYTES = 40
"""Less than the 64 MB that the agent keeps free."""
LOCK = """\
import fcntl, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(3600)
"""


@contextmanager
def held_on_the_device(story: Story, _version: str) -> Iterator[None]:
    """``pi-hook hold``."""
    story.pi.guest.run("pi-hook hold")
    try:
        yield
    finally:
        story.pi.guest.run("pi-hook release")


@contextmanager
def held_by_operator(story: Story, _version: str) -> Iterator[None]:
    """PATCH of the device at the server."""
    with story.held_by_operator():
        yield


@contextmanager
def held_by_apt_mark(story: Story, _version: str) -> Iterator[None]:
    """``apt-mark hold``."""
    story.pi.guest.run(f"apt-mark hold {story.name}")
    try:
        yield
    finally:
        story.pi.guest.run(f"apt-mark unhold {story.name}")


@contextmanager
def paused(story: Story, version: str) -> Iterator[None]:
    """The operator pauses the update."""
    update = story.server.update_id(version)
    story.operate("POST", f"/api/v1/updates/{update}/pause")
    try:
        yield
    finally:
        story.operate("POST", f"/api/v1/updates/{update}/resume")


@contextmanager
def disk_full(story: Story, _version: str) -> Iterator[None]:
    """A file takes all but 40 MB."""
    free = int(story.pi.guest.run("df --output=avail --block-size=1M /var/tmp | tail -n 1"))
    story.pi.guest.run(f"fallocate --length {free - LEFT_FREE_MEGABYTES}M /var/tmp/ballast")
    try:
        yield
    finally:
        story.pi.guest.run("rm /var/tmp/ballast")


@contextmanager
def read_only(story: Story, _version: str) -> Iterator[None]:
    """dpkg's database lies on a read-only mount."""
    where = "/var/lib/dpkg"
    story.pi.guest.run(f"mount --bind {where} {where} && mount -o remount,bind,ro {where}")
    try:
        yield
    finally:
        story.pi.guest.run(f"umount {where}")


@contextmanager
def apt_locked(story: Story, _version: str) -> Iterator[None]:
    """Another process holds dpkg's lock."""
    story.pi.guest.write("/run/lock.py", LOCK.encode())
    story.pi.guest.run("systemd-run --quiet --unit=lock python3 /run/lock.py")
    try:
        until(
            "the lock", lambda: story.pi.guest.run("journalctl -u lock -g locked -q -o cat | tail -n 1"), SEEN_SECONDS
        )
        yield
    finally:
        story.pi.guest.run("systemctl stop lock.service; systemctl reset-failed lock.service 2> /dev/null; true")


@contextmanager
def metered(story: Story, _version: str = "") -> Iterator[None]:
    """A stand-in for NetworkManager says so: the virtual Pi has systemd-networkd, which has no word for it."""
    story.pi.guest.write("/usr/local/bin/nmcli", b"#!/bin/sh\necho GENERAL.METERED:yes\n", 0o755)
    story.pi.guest.run("mkdir -p /run/NetworkManager")
    try:
        yield
    finally:
        story.pi.guest.run("rm -r /run/NetworkManager /usr/local/bin/nmcli")


@contextmanager
def on_battery(story: Story, _version: str) -> Iterator[None]:
    """A discharging battery in sysfs: files mounted over it, since Debian's kernel has no ``test_power``."""
    folder = "/run/battery"
    files = {"type": "Battery", "status": "Discharging", "scope": "System"}
    for name, text in files.items():
        story.pi.guest.write(f"{folder}/BAT0/{name}", f"{text}\n".encode())
    story.pi.guest.run(f"mount --bind {folder} /sys/class/power_supply")
    try:
        yield
    finally:
        story.pi.guest.run("umount /sys/class/power_supply")


@contextmanager
def busy(story: Story, _version: str) -> Iterator[None]:
    """The assistant says that it speaks."""
    with story.busy():
        yield


OBSTACLES: dict[str, tuple[str, Obstacle]] = {
    "held on the device": ("HELD_BY_ADMIN", held_on_the_device),
    "paused": ("WITHHELD", paused),
    "held by the operator": ("HELD_BY_ADMIN", held_by_operator),
    "disk full": ("DISK_FULL", disk_full),
    "held by apt-mark": ("HELD_BY_ADMIN", held_by_apt_mark),
    "read-only": ("READ_ONLY_ROOT", read_only),
    "apt locked": ("APT_LOCKED", apt_locked),
    "metered": ("METERED", metered),
    "on battery": ("ON_BATTERY", on_battery),
    "busy": ("BUSY", busy),
}
"""By what one does: the reason of the gate that it has to give. Two with the same reason do not follow one another."""
