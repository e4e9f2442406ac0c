"""Boot repair, with real dpkg states and no network."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pi_hook.ports import Step
from pi_hook.state import Ledger
from pi_hook.update import Device
from tests.support.apt_repo import NAME

if TYPE_CHECKING:
    from tests.support.apt_repo import Repo, RepoServer
    from tests.support.apt_root import AptRoot

ARCHIVES = "/var/lib/pi-hook/archives"
APP = f"{NAME}-app-1.1.0"


@pytest.fixture
def ready(device: AptRoot, repo: Repo, server: RepoServer) -> AptRoot:
    """1.0.0 runs, 1.1.0 is downloaded and about to be installed; then the network is gone."""
    repo.release("1.0.0", deps="aaaaaaaaaaaa")
    repo.publish()
    assert device.step(Step.REFRESH, "1.0.0").problem is None
    assert device.step(Step.INSTALL, "1.0.0").problem is None
    repo.release("1.1.0", deps="bbbbbbbbbbbb", size=4_000_000)
    repo.publish()
    assert device.step(Step.REFRESH, "1.1.0").problem is None
    assert device.step(Step.DOWNLOAD, "1.1.0").problem is None
    server.status = 503
    request = device.path / "var/lib/pi-hook/steps"
    shutil.copy(request / "download.request.json", request / "install.request.json")
    return device


def debs(device: AptRoot, *packages: str) -> list[str]:
    found = [deb for package in packages for deb in device.path.glob(f"{ARCHIVES.lstrip('/')}/{package}_*1.1.0_*.deb")]
    found += device.path.glob(f"{ARCHIVES.lstrip('/')}/{NAME}-deps-bbbbbbbbbbbb_*.deb") if "deps" in packages else []
    return [f"/{deb.relative_to(device.path)}" for deb in found]


def audit(device: AptRoot) -> str:
    return device.run("dpkg", "--audit").stdout


def test_where_nothing_is_wrong_nothing_is_touched(ready: AptRoot) -> None:
    before = (ready.path / "var/lib/dpkg/status").stat().st_mtime_ns
    assert ready.recover() == 0
    assert (ready.path / "var/lib/dpkg/status").stat().st_mtime_ns == before


def test_before_any_repository_was_set_up(ready: AptRoot) -> None:
    (ready.path / "etc/apt/apt.conf.d/51pi-ota-verify").unlink()
    assert ready.recover() == 0


def test_unpacked_packages_are_configured(ready: AptRoot) -> None:
    ready.run("dpkg", "--unpack", *debs(ready, NAME, APP, "deps"))
    assert APP in audit(ready)
    assert ready.recover() == 0
    assert audit(ready) == ""
    assert ready.version(NAME) == "1.1.0"


def test_a_cut_off_layer_is_put_right_from_the_cache(ready: AptRoot) -> None:
    ready.run("dpkg", "--unpack", *debs(ready, NAME, APP, "deps"))
    mark(ready, APP, "install reinstreq half-installed")
    (ready.path / f"usr/lib/{NAME}/releases/1.1.0/run").unlink()
    assert ready.recover() == 0
    assert audit(ready) == ""
    assert (ready.path / f"usr/lib/{NAME}/releases/1.1.0/run").exists()


def test_a_cut_between_head_and_layers_is_completed_from_the_cache(ready: AptRoot) -> None:
    ready.run("dpkg", "--unpack", *debs(ready, NAME))
    assert ready.recover() == 0
    assert audit(ready) == ""
    assert {ready.version(NAME), ready.version(APP)} == {"1.1.0"}


def test_dpkg_killed_while_it_unpacks(ready: AptRoot) -> None:
    """Wherever exactly the kill falls, boot repair must mend it."""
    logger = "while read line; do case $line in *half-installed*) kill -9 $PPID; exit;; esac; done"
    ready.run("dpkg", f"--status-logger={logger}", "--install", *debs(ready, "deps", APP, NAME), check=False)
    assert ready.version(NAME) == "1.0.0"
    assert ready.recover() == 0
    assert audit(ready) == ""
    # Old or new, but whole.
    assert ready.version(NAME) in {"1.0.0", "1.1.0"}
    result = ready.step(Step.INSTALL, "1.1.0")
    assert result.problem is None, result.message


def test_a_half_configured_package_is_configured(ready: AptRoot) -> None:
    """dpkg was cut off while a maintainer script ran."""
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    mark(ready, NAME, "install ok half-configured")
    assert NAME in audit(ready)
    assert ready.recover() == 0
    assert audit(ready) == ""
    assert ready.version(NAME) == "1.1.0"


@pytest.mark.parametrize("state", ["triggers-pending", "triggers-awaited"])
def test_triggers_that_wait_are_run(ready: AptRoot, state: str) -> None:
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    more = {"triggers-pending": "Triggers-Pending: /usr/lib/sample", "triggers-awaited": "Triggers-Awaited: dbus"}
    mark(ready, NAME, f"install ok {state}\n{more[state]}")
    if state == "triggers-awaited":
        mark(ready, "dbus", "install ok triggers-pending\nTriggers-Pending: /usr/share/dbus-1/system-services")
    assert audit(ready) != ""
    assert ready.recover() == 0
    assert audit(ready) == ""
    assert ready.version(NAME) == "1.1.0"


def test_a_removal_that_was_cut_off_leaves_dpkg_clean(ready: AptRoot) -> None:
    """An old layer that was being removed: nothing needs it, so there is no .deb of it to come back to."""
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    old = f"{NAME}-app-1.0.0"
    for deb in ready.path.glob(f"{ARCHIVES.lstrip('/')}/{old}_*.deb"):
        deb.unlink()
    mark(ready, old, "deinstall ok half-installed")
    assert ready.recover() == 0
    assert audit(ready) == ""


def test_without_a_cache_the_old_release_serves_until_the_network_is_back(ready: AptRoot, server: RepoServer) -> None:
    ready.run("dpkg", "--unpack", *debs(ready, NAME, APP, "deps"))
    mark(ready, APP, "install reinstreq half-installed")
    for deb in (ready.path / ARCHIVES.lstrip("/")).glob("*.deb"):
        deb.unlink()
    assert ready.recover() == 1
    assert (ready.path / f"var/lib/{NAME}/current").readlink().name == "1.0.0"
    server.status = None
    result = ready.step(Step.INSTALL, "1.1.0")
    assert result.problem is None, result.message
    assert audit(ready) == ""
    assert ready.version(NAME) == "1.1.0"


def test_a_full_disk_is_waited_out(ready: AptRoot) -> None:
    """dpkg's journal has no room: repair says so and fails, and the next one mends everything."""
    ready.run("dpkg", "--unpack", *debs(ready, NAME, APP, "deps"))
    journal = ready.path / "var/lib/dpkg/updates"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(journal)], check=True)
    (journal / "tmp.i").write_bytes(b"x" * 4096)
    assert ready.recover() == 1
    assert (ready.path / f"var/lib/{NAME}/current").readlink().name == "1.0.0"
    subprocess.run(["umount", str(journal)], check=True)
    assert ready.recover() == 0
    assert audit(ready) == ""


def test_an_install_step_mends_an_interrupted_one_first(ready: AptRoot) -> None:
    ready.run("dpkg", "--unpack", *debs(ready, NAME, APP, "deps"))
    mark(ready, APP, "install reinstreq half-installed")
    result = ready.step(Step.INSTALL, "1.1.0")
    assert result.problem is None, result.message
    assert ready.version(NAME) == "1.1.0"


def test_a_tampered_cached_file_is_not_used(ready: AptRoot) -> None:
    ready.run("dpkg", "--unpack", *debs(ready, NAME, APP, "deps"))
    mark(ready, APP, "install reinstreq half-installed")
    [deb] = [ready.path / path.lstrip("/") for path in debs(ready, APP)]
    body = deb.read_bytes()
    at = body.index(b"data.tar.gz") + 100
    deb.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    assert ready.recover() == 1
    assert APP in audit(ready)


@pytest.mark.parametrize("target", [None, "/usr/lib/sample-assistant/releases/9.9.9"])
def test_current_is_pointed_at_a_complete_release(ready: AptRoot, target: str | None) -> None:
    current = ready.path / f"var/lib/{NAME}/current"
    current.unlink()
    if target:
        current.symlink_to(target)
    assert ready.recover() == 0
    assert current.readlink() == Path(f"/usr/lib/{NAME}/releases/1.0.0")


def test_the_last_good_release_is_preferred_to_a_newer_one(ready: AptRoot) -> None:
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    (ready.path / f"var/lib/{NAME}/current").unlink()
    state = Ledger(ready.path / "var/lib/pi-hook")
    state.commit(Device(last_good="1.0.0"), (), datetime.now(UTC))
    assert ready.recover() == 0
    assert (ready.path / f"var/lib/{NAME}/current").readlink().name == "1.0.0"


def test_the_last_good_release_is_known_without_the_state_file_too(ready: AptRoot) -> None:
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    (ready.path / f"var/lib/{NAME}/current").unlink()
    Ledger(ready.path / "var/lib/pi-hook").commit(Device(last_good="1.0.0"), (), datetime.now(UTC))
    (ready.path / "var/lib/pi-hook/state.json").write_text("{half")
    assert ready.recover() == 0
    assert (ready.path / f"var/lib/{NAME}/current").readlink().name == "1.0.0"


def test_a_damaged_state_file_stops_no_repair(ready: AptRoot) -> None:
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    (ready.path / f"var/lib/{NAME}/current").unlink()
    (ready.path / "var/lib/pi-hook/state.json").write_text("{half")
    assert ready.recover() == 0
    assert (ready.path / f"var/lib/{NAME}/current").readlink().name == "1.1.0"


def test_a_current_that_is_right_is_left_alone_though_a_newer_release_is_there(ready: AptRoot) -> None:
    ready.run("dpkg", "--install", *debs(ready, NAME, APP, "deps"))
    assert ready.recover() == 0
    assert (ready.path / f"var/lib/{NAME}/current").readlink().name == "1.0.0"


def mark(device: AptRoot, package: str, status: str) -> None:
    """Write a state into dpkg's database, as a cut during unpacking leaves it."""
    database = device.path / "var/lib/dpkg/status"
    text = database.read_text()
    changed = re.sub(rf"(?m)^(Package: {re.escape(package)}\nStatus: ).*$", rf"\g<1>{status}", text)
    assert changed != text
    database.write_text(changed)
