"""The system's upgrades, the agent's memory of them, and restarts: what stands around the rules."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pi_hook import __version__
from pi_hook.files import Root
from pi_hook.ports import RebootFlag, Step
from pi_hook.reboot import SystemMachine
from pi_hook.status import in_words, system_status
from pi_hook.system import LastRun, Restart, System, Work
from pi_hook.system_memory import SystemMemory, read_system
from pi_hook.system_origins import Origin, origins
from pi_hook.system_steps import changes

from .conftest import Programs

AT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
FULL = System(
    day=date(2026, 3, 29),
    attempts=2,
    done=True,
    waiting_since=AT,
    lists_at=AT,
    lists_problem="unreachable",
    at_work=Work(Step.SYSTEM, "security", AT),
    last=LastRun(AT, "dpkg_failed", "dpkg is not clean", ("libc6 2.41-13",)),
    restarts=(Restart(None, date(2026, 3, 1), AT, gone=True), Restart("linux-image 6.12", date(2026, 3, 28), AT)),
)


def test_the_memory_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    SystemMemory(tmp_path).keep(FULL)
    assert SystemMemory(tmp_path).system == FULL == read_system(tmp_path / "system.json")
    assert (tmp_path / "system.json").stat().st_mode & 0o777 == 0o600
    written = (tmp_path / "system.json").stat().st_mtime_ns
    SystemMemory(tmp_path).keep(FULL)
    assert (tmp_path / "system.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": 2}', json.dumps({"schema": 1, "day": "tomorrow"}), '{"schema": 1, "day": 7}'],
)
def test_a_memory_that_cannot_be_used_is_set_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / "system.json").write_text(content)
    assert read_system(tmp_path / "system.json") is None
    memory = SystemMemory(tmp_path)
    assert memory.system == System()
    assert (tmp_path / "system.json.unusable").read_text() == content
    memory.keep(FULL)
    assert SystemMemory(tmp_path).system == FULL


def test_a_disk_that_refuses_leaves_the_memory_as_it_was(tmp_path: Path) -> None:
    memory = SystemMemory(tmp_path / "state")
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(OSError, match="state"):
        memory.keep(FULL)
    assert memory.system == System()


def test_the_status_says_it_in_words() -> None:
    words = in_words({"system": {**system_status(FULL), "reboot_required": "linux-image 6.12"}})
    assert "system      failed (dpkg_failed) at 2026-03-29T01:30:00Z: dpkg is not clean" in words
    assert "system      is being upgraded" in words
    assert "lists       unreachable" in words
    assert "restart     is asked for by linux-image 6.12" in words
    assert in_words({"system": {**system_status(System()), "reboot_required": None}}) == ""
    upgraded = System(last=LastRun(AT, None, "2 packages upgraded"), at_work=Work(Step.LISTS, "all", AT))
    words = in_words({"system": system_status(upgraded)})
    assert "system      upgraded at 2026-03-29T01:30:00Z: 2 packages upgraded" in words
    assert "system      its lists are being fetched" in words


def test_security_is_a_part_of_all_and_none_is_nothing() -> None:
    assert origins("none", "trixie") == ()
    assert set(origins("security", "trixie")) < set(origins("all", "trixie"))
    assert Origin("Debian", "trixie-security", "Debian-Security") in origins("security", "trixie")
    assert not any(origin.label == "Debian" for origin in origins("security", "trixie"))
    assert Origin("Debian", "bookworm", "Debian") in origins("all", "bookworm")


@pytest.fixture
def device(tmp_path: Path) -> Root:
    (tmp_path / "run").mkdir()
    (tmp_path / "var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(
        "Package: libc6\nStatus: install ok installed\nVersion: 2.41-12\nArchitecture: amd64\n"
        "Maintainer: x\nDescription: x\n\n"
    )
    return Root(tmp_path)


def test_a_restart_is_asked_for_by_packages_in_their_versions(device: Root) -> None:
    machine = SystemMachine(device)
    assert machine.reboot_flag() is None
    device.at("/run/reboot-required").write_text("*** System restart required ***\n")
    assert machine.reboot_flag() == RebootFlag(None)
    device.at("/run/reboot-required.pkgs").write_text("linux-image-6.12\nlibc6\nlibc6\n--version\n")
    assert machine.reboot_flag() == RebootFlag("libc6 2.41-12, linux-image-6.12")


def test_the_flag_may_lie_in_var_run(device: Root) -> None:
    device.at("/var/run").mkdir(parents=True)
    device.at("/var/run/reboot-required").touch()
    assert SystemMachine(device).reboot_flag() == RebootFlag(None)


def test_packages_are_named_also_where_dpkg_cannot_be_asked(device: Root) -> None:
    device.at("/var/lib/dpkg/status").write_text("no database")
    device.at("/run/reboot-required").touch()
    device.at("/run/reboot-required.pkgs").write_text("libc6\n")
    assert SystemMachine(device).reboot_flag() == RebootFlag("libc6")


def test_restarting_is_systemds_work_and_its_refusal_is_said(programs: Programs) -> None:
    programs.put("systemctl", "exit 0")
    SystemMachine().reboot()
    assert programs.calls == ["systemctl --no-block reboot"]
    programs.put("systemctl", "echo Access denied >&2; exit 1")
    with pytest.raises(OSError, match="Access denied"):
        SystemMachine().reboot()


def test_the_package_and_the_program_are_of_one_version() -> None:
    """By the package's a device is upgraded, by the program's the server and `minimum_agent` know it."""
    changelog = (Path(__file__).parents[3] / "debian" / "changelog").read_text(encoding="utf-8")
    assert changelog.startswith(f"pi-hook ({__version__}) ")


def test_what_has_changed_is_what_dpkg_has_wholly_now() -> None:
    before: dict[str, str | None] = {"a": "1", "b": "1", "c": "1", "d": None, "e": "1"}
    after: dict[str, str | None] = {"a": "1", "b": "2", "c": None, "d": "1", "f": "1"}
    assert changes(before, after) == ("b 2", "d 1", "e removed", "f 1")
