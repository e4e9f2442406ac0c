"""What runs, where a release is one ordinary package: by the instant at which its files came."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from pi_hook import classic
from pi_hook.ports import ReleaseCommand, ReleaseError
from pi_hook.releases import AssistantReleases
from pi_hook.service import AssistantService

from .conftest import NAME

if TYPE_CHECKING:
    from .conftest import SmallRoot

BOOT = "7a3f1c55-6f0c-4f3e-9f2c-000000000001"
TICK = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def one(small: SmallRoot) -> SmallRoot:
    """1.1.0 as one package, and a process 42 that was started 1,000 s after the boot."""
    small.package(NAME, "1.1.0", depends="python3")
    (small.path / f"var/lib/dpkg/info/{NAME}.list").touch()
    boot_id = small.path / "proc/sys/kernel/random/boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text(f"{BOOT}\n")
    started(small, 1000)
    return small


def started(small: SmallRoot, seconds: float) -> None:
    stat = small.path / "proc/42/stat"
    stat.parent.mkdir(parents=True, exist_ok=True)
    stat.write_text(f"42 (a (b) c) S {' '.join(['0'] * 18)} {int(seconds * TICK)} 0 0\n")
    (small.path / "proc/42/environ").write_bytes(b"A=1\0")


def unpacked(small: SmallRoot, seconds: float, version: str = "1.1.0", boot: str = BOOT) -> None:
    noted = small.path / "var/lib/pi-hook/steps/unpacked.json"
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_text(json.dumps({"schema": 1, "version": version, "boot_id": boot, "seconds": seconds}))


@pytest.mark.parametrize(("came", "expected"), [(999.0, "1.1.0"), (1000.0, "1.1.0"), (1001.0, None)])
def test_a_process_runs_the_version_whose_files_came_before_it(
    one: SmallRoot, came: float, expected: str | None
) -> None:
    unpacked(one, came)
    assert classic.running(NAME, 42, one.root) == expected
    assert AssistantService(NAME, one.root)._release_of(42) == expected


def test_after_a_boot_every_process_is_newer_than_the_files(one: SmallRoot) -> None:
    unpacked(one, 9_999_999.0, boot="another")
    assert classic.running(NAME, 42, one.root) == "1.1.0"


@pytest.mark.parametrize("noted", ["none", "of another version", "damaged"])
@pytest.mark.parametrize(("ago", "expected"), [(100, "1.1.0"), (-100, None)])
def test_files_of_a_person_s_own_apt_are_dated_by_dpkg(
    one: SmallRoot, noted: str, ago: int, expected: str | None
) -> None:
    if noted == "of another version":
        unpacked(one, 0.0, version="1.0.0")
    elif noted == "damaged":
        unpacked(one, 0.0)
        (one.path / "var/lib/pi-hook/steps/unpacked.json").write_text("{half")
    started_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + 1000
    os.utime(one.path / f"var/lib/dpkg/info/{NAME}.list", (started_at - ago, started_at - ago))
    assert classic.running(NAME, 42, one.root) == expected


def test_what_the_step_notes_is_what_is_read(one: SmallRoot) -> None:
    classic.note_unpacked("1.1.0", one.root)
    started(one, time.clock_gettime(time.CLOCK_BOOTTIME) + 1)
    assert classic.running(NAME, 42, one.root) == "1.1.0"
    started(one, time.clock_gettime(time.CLOCK_BOOTTIME) - 1)
    assert classic.running(NAME, 42, one.root) is None


def test_a_process_that_has_ended_or_a_package_that_is_not_whole_proves_nothing(one: SmallRoot) -> None:
    unpacked(one, 0.0)
    assert classic.running(NAME, 43, one.root) is None
    one.package(NAME, "1.1.0", "install ok half-configured", depends="python3")
    assert classic.running(NAME, 42, one.root) is None
    assert AssistantReleases(NAME, one.root).active() is None


def test_a_release_of_layers_is_none_of_this(small: SmallRoot) -> None:
    small.release("1.0.0")
    small.package(NAME, "1.0.0", depends=f"{NAME}-app-1.0.0 (= 1.0.0), {NAME}-deps-0123456789ab")
    releases = AssistantReleases(NAME, small.root)
    assert classic.installed(NAME, small.root) is None
    assert releases.active() is None
    releases.activate("1.0.0")
    assert (releases.active(), releases.present(), releases.reinstalls("1.0.0")) == ("1.0.0", ["1.0.0"], False)


def test_a_version_that_is_not_installed_cannot_be_pointed_at(one: SmallRoot) -> None:
    with pytest.raises(ReleaseError, match=r"dpkg has 1\.1\.0"):
        AssistantReleases(NAME, one.root).activate("1.0.0")


def test_one_package_names_no_commands(one: SmallRoot) -> None:
    service = AssistantService(NAME, one.root)
    assert [service.begin(command, "1.1.0") for command in ReleaseCommand] == [None, None, None]


def test_the_pins_name_exactly_the_versions_and_go_again(small: SmallRoot) -> None:
    releases = AssistantReleases(NAME, small.root)
    pins = small.path / "etc/apt/preferences.d/00-pi-ota-bad"
    releases.shun(frozenset())
    assert not pins.exists()
    releases.shun(frozenset({"1.10", "1.9"}))
    assert pins.read_text().count("Pin-Priority: -1") == 2
    assert pins.read_text().index("version 1.9\n") < pins.read_text().index("version 1.10\n")
    releases.shun(frozenset())
    assert pins.read_text() == ""
