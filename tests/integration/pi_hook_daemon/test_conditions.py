"""What keeps an update from being installed is reported by its word, waited out without haste, and gone on from."""

from __future__ import annotations

import pytest

from pi_hook.ports import Problem, Step
from tests.integration.pi_hook_daemon.story import Device

CONDITIONS = ["DISK_FULL", "READ_ONLY_ROOT", "APT_LOCKED", "METERED", "ON_BATTERY"]


def rounds(device: Device, hours: float) -> int:
    """How often the daemon wakes up in so many hours."""
    assert device.daemon is not None
    woken, run_once = 0, device.daemon.loop.run_once

    def counting() -> None:
        nonlocal woken
        woken += 1
        run_once()

    device.daemon.loop.run_once = counting  # type: ignore[method-assign]  # counts
    device.run_for(hours * 3600)
    device.daemon.loop.run_once = run_once  # type: ignore[method-assign]  # as it was
    return woken


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_told_and_waited_out(settled: Device, condition: str) -> None:
    settled.run_for(3600)
    settled.world.problems = frozenset({condition})
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.server.statuses[-1].reason == condition
    assert settled.server.statuses[-1].retry_at is None, "nobody knows when it ends"
    settled.until(lambda: settled.server.heartbeats[-1].gate is not None)
    woken = rounds(settled, 6)
    assert woken <= 6 * (60 + 2 * 13), "a look a minute, and the heartbeats: no busy loop"
    gate = settled.server.heartbeats[-1].gate
    assert gate is not None
    assert (gate.reason, settled.world.installs) == (condition, ["1.0.0"])
    settled.world.problems = frozenset()
    settled.until(settled.told("succeeded", "1.1.0"), hours=0.2)
    assert settled.server.words("1.1.0").count("deferred") == 1, "one deferral is one status, however long it lasts"


def test_an_apt_mark_hold_is_held_by_admin_until_it_is_lifted(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.held = True
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.server.statuses[-1].reason == "HELD_BY_ADMIN"
    settled.run_for(48 * 3600)
    assert settled.world.installs == ["1.0.0"], "not in the window either, and not after its deadline"
    settled.world.held = False
    settled.until(settled.told("succeeded", "1.1.0"), hours=1)


@pytest.mark.parametrize("problem", [Problem.APT_LOCKED, Problem.DISK_FULL, Problem.READ_ONLY_ROOT])
def test_a_step_that_meets_a_condition_is_tried_again_later_and_later(settled: Device, problem: Problem) -> None:
    settled.run_for(3600)
    tried = 0

    def count() -> None:
        nonlocal tried
        tried += 1
        settled.world.during[Step.INSTALL] = count

    settled.world.during[Step.INSTALL] = count
    settled.world.published["1.1.0"].problems = {Step.INSTALL: [problem] * 1000}
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    settled.run_for(24 * 3600)
    assert 10 < tried < 24 * 3600 / 1800 + 15, "half an hour on average in the end, of at most an hour"
    settled.world.published["1.1.0"].problems = {}
    settled.until(settled.told("succeeded", "1.1.0"), hours=2)
