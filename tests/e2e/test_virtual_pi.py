"""The virtual Pi itself: what the other end-to-end tests rely on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.ports import free_port
from demo.shell import PROJECT
from demo.vpi.guest import GuestError
from demo.vpi.image import build_disk
from demo.vpi.machine import BUTTON_DEVICE, SERVER_ADDRESS, SERVER_PORT, VirtualPi

pytestmark = [pytest.mark.e2e, pytest.mark.network, pytest.mark.timeout(600)]

FETCH = "python3 -c \"import urllib.request as u; print(u.urlopen('{url}', timeout=5).read().decode())\""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A web server with one page, on loopback."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "page").write_text("from the server")
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield port
        process.terminate()


@pytest.fixture(scope="module")
def pi(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPi]:
    disk = build_disk(PROJECT / ".cache", [], print)
    folder: Path = tmp_path_factory.mktemp("pi")
    with VirtualPi(disk, folder, port, {"hello.txt": b"hello"}) as machine:
        machine.boot()
        yield machine


def test_it_is_a_small_debian_13_with_systemd(pi: VirtualPi) -> None:
    assert "VERSION_CODENAME=trixie" in pi.guest.run("cat /etc/os-release")
    assert pi.guest.run("cat /proc/1/comm").strip() == "systemd"
    assert int(pi.guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo")) < 512 * 1024
    assert pi.guest.run("cat /boot/firmware/hello.txt") == "hello"


def test_it_reaches_the_server_and_nothing_else(pi: VirtualPi, port: int) -> None:
    page = pi.guest.run(FETCH.format(url=f"http://{SERVER_ADDRESS}:{SERVER_PORT}/page"))
    assert page.strip() == "from the server"
    # 10.0.2.2 is this machine's own loopback in an unrestricted user-mode network
    assert pi.guest.try_run(FETCH.format(url=f"http://10.0.2.2:{port}/page")).status != 0
    assert pi.guest.try_run(FETCH.format(url=f"http://{SERVER_ADDRESS}:22/")).status != 0


def test_its_button_is_an_input_device(pi: VirtualPi) -> None:
    pi.guest.run(f"(timeout 20 head -c 48 {BUTTON_DEVICE} > /run/pressed) > /dev/null 2>&1 & sleep 1")
    pi.press_button()
    pi.guest.run("for i in $(seq 50); do [ -s /run/pressed ] && exit 0; sleep 0.1; done; exit 1")


def test_its_clock_and_zone_can_be_set(pi: VirtualPi) -> None:
    pi.set_zone("Australia/Lord_Howe")
    pi.set_clock(datetime(2026, 4, 4, 15, 30, tzinfo=UTC))
    assert pi.guest.run("date '+%Y-%m-%d %H:%M %Z'").strip() == "2026-04-05 02:00 +1030"
    with pytest.raises(GuestError):
        pi.set_zone("Mars/Olympus")


def test_cut_power_keeps_what_was_synced_and_it_boots_again(pi: VirtualPi) -> None:
    pi.guest.run("echo kept > /root/synced && sync && echo lost > /root/unsynced")
    pi.cut_power()
    pi.boot()
    assert pi.guest.run("cat /root/synced") == "kept\n"
    assert pi.guest.try_run("grep lost /root/unsynced").status != 0


def test_it_goes_on_where_it_was_saved(pi: VirtualPi, tmp_path: Path) -> None:
    boot = pi.boot_id()
    pi.guest.run("echo here > /run/in-memory; echo there > /root/on-disk")
    pi.save(tmp_path / "machine")
    assert pi.pid is None
    pi.boot(saved=tmp_path / "machine")
    assert pi.guest.run("cat /proc/sys/kernel/random/boot_id /run/in-memory /root/on-disk") == f"{boot}\nhere\nthere\n"


def test_it_stands_still_while_it_is_frozen(pi: VirtualPi) -> None:
    with pi.frozen(), pytest.raises(GuestError):
        pi.guest.wait_until_up(3)
    pi.guest.wait_until_up(30)
