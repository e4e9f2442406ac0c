from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pi_hook import conditions
from pi_hook.conditions import SystemConditions, lock_holder, metered, on_battery, writable_for_good

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Programs, SmallRoot


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_an_ordinary_system_forbids_nothing(small: SmallRoot) -> None:
    assert SystemConditions(small.root).read().problems == frozenset()


def test_too_little_space(small: SmallRoot) -> None:
    assert SystemConditions(small.root, needed_bytes=1 << 60).read().problems == {"DISK_FULL"}


def test_a_lock_is_seen_but_not_taken(small: SmallRoot) -> None:
    lock = small.path / "var/lib/dpkg/lock-frontend"
    lock.touch()
    assert lock_holder(small.root) is None
    # A process does not see its own POSIX locks.
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert lock_holder(small.root) == holder.pid
        assert SystemConditions(small.root).read().problems == {"APT_LOCKED"}
    finally:
        holder.communicate()
    with lock.open("r+") as mine:
        fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)


MOUNTS = {
    "ordinary": ("/dev/mmcblk0p2 / ext4 rw,noatime 0 0", True),
    "read-only": ("/dev/mmcblk0p2 / ext4 ro,noatime 0 0", False),
    "usr read-only": ("/dev/a / ext4 rw 0 0\n/dev/b /usr ext4 ro 0 0", False),
    "another read-only": ("/dev/a / ext4 rw 0 0\n/dev/b /mnt ext4 ro 0 0", True),
    "overlay of Raspberry Pi OS": (
        "overlay / overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work 0 0",
        False,
    ),
    "overlay without upper": ("overlay / overlay rw,lowerdir=/lower 0 0", False),
    "overlay on a disk": ("overlay / overlay rw,lowerdir=/lower,upperdir=/usr,workdir=/w 0 0", True),
    "remounted over": ("/dev/a / ext4 ro 0 0\n/dev/a / ext4 rw 0 0", True),
}


@pytest.mark.parametrize("case", MOUNTS)
def test_what_keeps_writes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path  # noqa: PLC0415 - only here at run time

    mounts, kept = MOUNTS[case]
    monkeypatch.setattr(conditions, "_mounts", mounts.splitlines)
    assert writable_for_good(Path("/usr/lib")) is kept


def supply(small: SmallRoot, name: str, **values: str) -> None:
    folder = small.path / "sys/class/power_supply" / name
    folder.mkdir(parents=True)
    for key, value in values.items():
        (folder / key).write_text(value + "\n")


def test_power(small: SmallRoot) -> None:
    assert not on_battery(small.root)
    supply(small, "mouse", type="Battery", status="Discharging", scope="Device")
    assert not on_battery(small.root)
    supply(small, "hat", type="Battery", status="Discharging")
    assert on_battery(small.root)
    supply(small, "usb", type="USB", online="1")
    assert not on_battery(small.root)


@pytest.mark.parametrize(
    ("said", "expected"), [("yes", True), ("yes (guessed)", True), ("no", False), ("unknown", False)]
)
def test_metered_where_networkmanager_runs(small: SmallRoot, programs: Programs, said: str, expected: bool) -> None:
    programs.put("nmcli", f"echo 'GENERAL.METERED:{said}'")
    assert not metered(small.root)
    (small.path / "run/NetworkManager").mkdir(parents=True)
    assert metered(small.root) is expected


def test_a_test_that_fails_forbids_nothing(
    small: SmallRoot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Path) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(conditions, "free_bytes", broken)
    assert SystemConditions(small.root).read().problems == frozenset()
    assert "DISK_FULL" in caplog.text
    assert os.path.exists(small.path)  # noqa: PTH110
