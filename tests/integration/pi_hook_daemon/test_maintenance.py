"""Nights of a device: its system, the agent itself, and the assistant, one after the other."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pi_hook.policy import Decided
from pi_hook.ports import Problem, RebootFlag, Step, StepResult, SystemRequest
from pi_hook.reasons import Reason
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release

HOUR = 3600.0
BERLIN = ZoneInfo("Europe/Berlin")


def upgrades(device: Device) -> list[SystemRequest]:
    return [request for step, request in device.world.system_steps if step is Step.SYSTEM]


def upgraded(device: Device, times: int = 1) -> Callable[[], object]:
    return lambda: len(upgrades(device)) >= times


def last(device: Device) -> dict[str, Any]:
    found: dict[str, Any] = device.status()["system"]["last"]
    return found


def local(request: SystemRequest) -> datetime:
    return request.begun.astimezone(BERLIN)


def test_one_upgrade_a_night_in_the_window_with_lists_of_that_day(settled: Device) -> None:
    settled.run_for(5 * 24 * HOUR)
    begun = [local(request) for request in upgrades(settled)]
    assert len({at.date() for at in begun}) == len(begun) == 5
    assert all(2 <= at.hour < 4 for at in begun)
    assert {request.packages for request in upgrades(settled)} == {"security"}
    assert {request.name for request in upgrades(settled)} == {"sample-assistant"}
    lists = [request.begun for step, request in settled.world.system_steps if step is Step.LISTS]
    assert all(any(timedelta(0) <= r.begun - at < timedelta(hours=30) for at in lists) for r in upgrades(settled))
    assert 5 <= len(lists) <= 8
    assert last(settled)["outcome"] == "succeeded"
    assert last(settled)["changed"] == ["libc6 2"]


def test_without_packages_of_the_system_the_agent_itself_is_still_looked_after(device: Device) -> None:
    device.settings = replace(device.settings, system_packages="none")
    device.start()
    device.until(upgraded(device))
    assert upgrades(device)[0].packages == "none"


def test_the_assistants_update_goes_first_and_neither_runs_beside_the_other(settled: Device) -> None:
    device = settled
    device.world.published["1.4.0"] = Release()
    order: list[str] = []
    for step in (Step.INSTALL, Step.SYSTEM):
        device.world.during[step] = partial(order.append, step)
    device.server.offer("1.4.0", "scheduled")
    device.until(upgraded(device))
    assert order == [Step.INSTALL, Step.SYSTEM]
    assert "succeeded" in device.server.words("1.4.0"), "the upgrade waited for the soak as well"


def test_an_urgent_update_waits_while_the_system_is_being_upgraded(settled: Device) -> None:
    device = settled
    said: list[Any] = []

    def offered() -> None:
        assert device.daemon is not None
        device.server.offer("1.1.0", "urgent")
        device.daemon.exchange.exchange()
        facts = device.daemon.driver.facts()
        said.append((Reason.APT_LOCKED in facts.problems, device.daemon.maintenance.gate().reason))

    device.world.during[Step.SYSTEM] = offered
    device.until(upgraded(device))
    assert said == [(True, Reason.APT_LOCKED)]
    assert "refreshed" not in device.server.words("1.1.0"), "apt is the system's turn"
    device.until(device.told("succeeded", "1.1.0"), hours=2)


def test_nobody_is_interrupted_by_an_upgrade(settled: Device) -> None:
    device = settled
    assert device.daemon is not None
    # From before the window on: a device whose own offset is next to nothing would begin as soon as it opens.
    device.until(lambda: device.clock.wall.astimezone(BERLIN).hour == 1)
    presses = 0
    while device.clock.wall.astimezone(BERLIN).hour < 4:
        device.press()
        device.run_for(60)
        presses += 1
    assert presses > 10
    assert upgrades(device) == []
    device.until(upgraded(device))
    assert local(upgrades(device)[0]).day == 12, "the next night"


def test_after_days_of_use_the_deadline_asks_for_no_quiet_any_more(settled: Device) -> None:
    device = settled
    device.until(upgraded(device))
    end = device.clock.monotonic + 9 * 24 * HOUR
    while device.clock.monotonic < end and len(upgrades(device)) < 2:
        device.press()
        device.run_for(300)
    waited = upgrades(device)[1].begun - upgrades(device)[0].begun
    assert timedelta(days=6, hours=23) <= waited <= timedelta(days=8)


def test_a_busy_assistant_a_hold_and_a_lock_hold_it_back(settled: Device) -> None:
    device = settled
    device.world.problems = frozenset({Reason.APT_LOCKED})
    device.run_for(24 * HOUR)
    assert device.world.system_steps == []
    assert device.status()["system"]["attempts_of_the_night"]["count"] == 0, "waiting is no attempt"
    device.world.problems = frozenset()
    device.server.hold = "guests"
    device.run_for(24 * HOUR)
    assert upgrades(device) == []
    device.server.hold = None
    device.until(upgraded(device), hours=26)


@pytest.mark.parametrize("problem", [Problem.DPKG_FAILED, Problem.UNREACHABLE, Problem.INTERRUPTED])
def test_a_night_of_failures_ends_after_three_attempts(settled: Device, problem: Problem) -> None:
    device = settled
    device.world.system_problems[Step.SYSTEM] = [problem] * 4
    device.until(upgraded(device))
    device.run_for(20 * HOUR)
    assert len(upgrades(device)) == 3
    begun = [request.begun for request in upgrades(device)]
    assert all(later - one >= timedelta(minutes=10) for one, later in pairwise(begun))
    assert last(device)["problem"] == problem
    device.until(lambda: last(device)["outcome"] == "succeeded", hours=30)
    assert len(upgrades(device)) == 5


def test_what_another_attempt_would_meet_again_waits_for_the_next_night(settled: Device) -> None:
    device = settled
    device.world.system_problems[Step.SYSTEM] = [Problem.UNTRUSTED]
    device.until(upgraded(device))
    device.run_for(20 * HOUR)
    assert len(upgrades(device)) == 1


def test_lists_that_cannot_be_had_are_asked_for_hourly_and_hold_no_upgrade_back(settled: Device) -> None:
    device = settled
    device.world.system_problems[Step.LISTS] = [Problem.UNREACHABLE] * 1000
    device.until(upgraded(device))
    lists = [request.begun for step, request in device.world.system_steps if step is Step.LISTS]
    assert 10 <= len(lists) <= 16
    assert device.status()["system"]["lists_problem"] == "as the test wants it"


def test_the_upgrade_restarts_the_daemon_and_the_new_one_joins_it(settled: Device) -> None:
    device = settled

    class KilledError(Exception):
        pass

    def kill() -> None:
        raise KilledError

    device.world.during[Step.SYSTEM] = kill
    with pytest.raises(KilledError):
        device.until(upgraded(device))
    assert device.daemon is not None
    work = device.daemon.maintenance._memory.system.at_work
    assert work is not None
    request = SystemRequest("sample-assistant", work.packages, work.begun)
    device.kill()
    device.world.at_work = (Step.SYSTEM, request)
    device.start()
    device.until(upgraded(device))
    device.run_for(2 * HOUR)
    assert upgrades(device) == [request], "joined, not begun anew"
    assert last(device)["outcome"] == "succeeded"


@pytest.mark.parametrize("left", [True, False])
def test_a_step_that_ended_without_a_daemon_is_told_by_what_it_left(settled: Device, *, left: bool) -> None:
    device = settled
    device.until(upgraded(device))
    assert device.daemon is not None
    memory = device.daemon.maintenance._memory
    request = SystemRequest("sample-assistant", "security", datetime(2026, 3, 11, 2, 0, tzinfo=UTC))
    from pi_hook.system import Work, begun  # noqa: PLC0415

    memory.keep(begun(memory.system, Work(Step.SYSTEM, "security", request.begun), memory.system.day))
    device.kill()
    result = StepResult(Step.SYSTEM, "", None, "3 packages upgraded", changed=("a 1",))
    device.world.left_results = {(Step.SYSTEM, request): result} if left else {}
    device.start()
    device.run_for(1)
    assert last(device)["outcome"] == ("succeeded" if left else "failed")
    assert last(device)["message"] == ("3 packages upgraded" if left else "the upgrade of the system was interrupted")


def test_a_power_cut_in_each_attempt_ends_the_night_after_three(settled: Device) -> None:
    device = settled

    class CutError(Exception):
        pass

    def cut() -> None:
        raise CutError

    cuts = 0
    for _ in range(10):
        device.world.during[Step.SYSTEM] = cut
        try:
            device.run_for(2.5 * HOUR if cuts else 18 * HOUR)
        except CutError:
            cuts += 1
            device.power_cut()
            device.start()
        else:
            break
    assert cuts == 3


def test_a_full_disk_at_the_end_of_an_upgrade_is_told_later(settled: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device = settled
    assert device.daemon is not None
    memory = device.daemon.maintenance._memory
    keep = memory.keep
    refused: list[int] = []

    def full(system: Any) -> None:
        if system.last is not None and len(refused) < 3:
            refused.append(1)
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(system)

    monkeypatch.setattr(memory, "keep", full)
    device.until(upgraded(device))
    device.run_for(2 * HOUR)
    assert len(refused) == 3
    assert len(upgrades(device)) == 1
    assert last(device)["outcome"] == "succeeded"


# Restarts


def with_restarts(device: Device) -> Device:
    device.settings = replace(device.settings, system_reboot=True)
    device.kill()
    device.start()
    return device


def test_a_restart_is_reported_and_not_done_unless_the_settings_say_so(settled: Device) -> None:
    device = settled
    assert {beat.reboot_required for beat in device.server.heartbeats} == {False}
    device.world.flag = RebootFlag("libc6 2.41-12")
    device.run_for(3 * 24 * HOUR)
    assert device.world.reboots == 0
    assert device.server.heartbeats[-1].reboot_required
    assert device.status()["system"]["reboot_required"] == "libc6 2.41-12"


def test_a_restart_follows_the_nights_upgrade_once(settled: Device) -> None:
    device = with_restarts(settled)
    world = device.world
    world.flag = RebootFlag("libc6 2.41-12")
    device.until(lambda: world.reboots)
    assert len(upgrades(device)) == 1
    assert 2 <= device.clock.wall.astimezone(BERLIN).hour < 4
    device.power_cut()
    device.start()
    device.run_for(10 * 24 * HOUR)
    assert world.reboots == 1, "the wish stayed: it is not followed every night"
    world.flag = RebootFlag("libc6 2.41-13")
    device.run_for(2 * 24 * HOUR)
    assert world.reboots == 2


def test_no_restart_while_an_update_is_at_work(settled: Device) -> None:
    device = with_restarts(settled)
    device.until(upgraded(device))
    device.world.flag = RebootFlag(None)
    device.settings = replace(device.settings, soak=timedelta(hours=1))
    device.kill()
    device.start()
    device.server.offer("1.1.0", "urgent")
    device.until(device.told("verifying", "1.1.0"), hours=1)
    device.run_for(0.5 * HOUR)
    assert device.world.reboots == 0
    assert "succeeded" not in device.server.words("1.1.0")


def test_a_restart_that_systemd_refuses_is_not_asked_for_every_minute(settled: Device) -> None:
    device = with_restarts(settled)
    device.world.flag = RebootFlag(None)
    device.world.reboot_errors = ["Access denied"] * 100
    device.run_for(24 * HOUR)
    assert device.world.reboots == 1


def test_a_server_older_than_the_field_is_told_without_it(settled: Device) -> None:
    from pi_hook.errors import RefusedError  # noqa: PLC0415

    device = settled
    beat = device.server.heartbeat

    def old(identity: Any, heartbeat: Any) -> Any:
        if heartbeat.reboot_required:
            raise RefusedError("reboot_required: unknown field", kind="invalid", status=422)
        return beat(identity, heartbeat)

    device.server.heartbeat = old  # type: ignore[method-assign]
    device.world.flag = RebootFlag(None)
    count = len(device.server.heartbeats)
    device.run_for(HOUR)
    assert len(device.server.heartbeats) - count >= 10
    assert device.status()["server"]["problem"] is None


def test_the_gate_for_others_is_open_in_the_window_and_shut_for_an_update_that_goes_now(settled: Device) -> None:
    device = settled
    assert device.daemon is not None
    assert device.daemon.maintenance.gate().reason is Reason.OUTSIDE_WINDOW
    device.until(upgraded(device))
    device.run_for(1)
    assert device.daemon.maintenance.gate().decision is Decided.INSTALL


def test_no_clock_no_upgrade(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.server.reachable = False
    device.clock.synchronised = False
    device.start()
    device.run_for(48 * HOUR)
    assert device.world.system_steps == []
    device.kill()
