"""A device whose releases are ordinary packages: nothing to flip, the way back is a reinstallation."""

from __future__ import annotations

import pytest

from pi_hook.ports import Problem, Step, StepRequest
from pi_hook.update import Phase
from tests.integration.pi_hook_daemon.story import Device
from tests.integration.pi_hook_daemon.test_crashes import OUTCOMES, TO_SUCCESS, go_on_after, run_until_killed


@pytest.fixture
def classic(device: Device) -> Device:
    """1.0.0 runs, proven; an hour has passed without use."""
    device.world.classic = True
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    device.run_for(3600)
    return device


def test_an_update_is_installed_and_restarted_after_the_second_yes(classic: Device) -> None:
    classic.world.during[Step.INSTALL] = classic.press
    classic.server.offer("1.1.0", "urgent")
    classic.until(classic.told("deferred", "1.1.0"), hours=0.5)
    assert (classic.world.installed_version, classic.world.running) == ("1.1.0", "1.0.0")
    classic.until(classic.told("succeeded", "1.1.0"))
    assert classic.world.running == "1.1.0"
    assert classic.world.cached == {"1.0.0", "1.1.0"}, "the way back stays"
    assert classic.only_legal_moves()
    classic.until(lambda: classic.server.heartbeats[-1].active == classic.server.heartbeats[-1].installed == "1.1.0")


def test_a_bad_release_is_gone_back_from_by_installing_the_one_before(classic: Device) -> None:
    bad = classic.server.offer("1.2.0", "urgent")
    classic.until(classic.told("rolled_back", "1.2.0"))
    outcome = classic.server.statuses[-1]
    assert "1.0.0 is active again" in (outcome.detail or "")
    assert outcome.log_tail == "Traceback of 1.2.0"
    assert classic.world.reinstalls_done == ["1.0.0"]
    assert (classic.world.installed_version, classic.world.active(), classic.world.running) == ("1.0.0",) * 3
    assert classic.world.shunned == {"1.2.0"}
    classic.server.offered = bad
    classic.run_for(24 * 3600)
    assert classic.world.installs == ["1.0.0", "1.2.0"], "not tried again"
    classic.server.offer("1.3.0", "urgent")
    classic.until(classic.told("succeeded", "1.3.0"))
    assert classic.only_legal_moves()


def test_pins_that_cannot_be_written_hold_nothing_up(classic: Device, caplog: pytest.LogCaptureFixture) -> None:
    classic.world.shun_errors = ["No space left on device"]
    classic.server.offer("1.2.0", "urgent")
    classic.until(classic.told("rolled_back", "1.2.0"))
    assert "apt cannot be kept away from the versions that failed here" in caplog.text


def test_without_the_package_before_there_is_no_way_back_and_it_is_said(classic: Device) -> None:
    classic.world.cached.clear()
    classic.server.offer("1.2.0", "urgent")
    classic.until(classic.told("failed", "1.2.0"))
    detail = classic.server.statuses[-1].detail or ""
    assert "the way back to 1.0.0 failed too: its .deb is not in the cache" in detail
    assert classic.world.active() == "1.2.0"


def test_a_problem_on_the_way_back_is_tried_again(classic: Device) -> None:
    classic.world.published["1.0.0"].problems = {Step.REINSTALL: [Problem.APT_LOCKED, Problem.INTERRUPTED]}
    classic.server.offer("1.2.0", "urgent")
    classic.until(classic.told("rolled_back", "1.2.0"))
    assert classic.world.running == "1.0.0"


def test_a_way_back_that_does_not_succeed_ends_in_failed(classic: Device) -> None:
    classic.world.published["1.0.0"].problems = {Step.REINSTALL: [Problem.DPKG_FAILED] * 3}
    classic.server.offer("1.2.0", "urgent")
    classic.until(classic.told("failed", "1.2.0"))
    assert "as the test wants it" in (classic.server.statuses[-1].detail or "")


def test_a_person_goes_back(classic: Device) -> None:
    classic.server.offer("1.1.0", "urgent")
    classic.until(classic.told("succeeded", "1.1.0"))
    assert classic.daemon is not None
    classic.daemon.driver.roll_back("sample-assistant")
    classic.until(classic.told("rolled_back", "1.1.0"))
    assert (classic.world.installed_version, classic.world.running) == ("1.0.0", "1.0.0")
    assert classic.world.shunned == {"1.1.0"}
    assert classic.only_legal_moves()


def test_a_person_goes_back_while_a_download_is_at_work(classic: Device) -> None:
    classic.server.offer("1.1.0", "urgent")
    classic.until(classic.told("succeeded", "1.1.0"))
    classic.run_for(3600)

    def back() -> None:
        assert classic.daemon is not None
        classic.daemon.driver.roll_back("sample-assistant")

    classic.world.during[Step.DOWNLOAD] = back
    classic.server.offer("1.3.0", "urgent")
    classic.until(classic.told("rolled_back", "1.1.0"))
    assert classic.world.reinstalls_done == ["1.0.0"]
    classic.until(classic.told("succeeded", "1.3.0"))


def test_what_a_person_installed_without_a_restart_is_restarted_at_a_good_moment(classic: Device) -> None:
    classic.world.installed_version = classic.world.current = "1.1.0"
    classic.world.on_disk = {"1.1.0"}
    classic.press()
    classic.server.offer("1.1.0", "urgent")
    classic.until(classic.told("deferred", "1.1.0"))
    assert classic.world.running == "1.0.0"
    classic.until(classic.told("succeeded", "1.1.0"))
    assert classic.world.running == "1.1.0"


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before its effects", "after the first effect"])
@pytest.mark.parametrize("phase", TO_SUCCESS)
def test_a_crash_on_the_way_to_success(classic: Device, phase: Phase, *, before_effects: bool, power_cut: bool) -> None:
    classic.server.offer("1.1.0", "urgent")
    run_until_killed(classic, phase, before_effects=before_effects)
    go_on_after(classic, power_cut=power_cut)
    classic.until(classic.told("succeeded", "1.1.0"))
    assert [word for word in classic.server.words("1.1.0") if word in OUTCOMES] == ["succeeded"]
    assert classic.world.active() == classic.world.running == "1.1.0"
    assert classic.world.cached == {"1.0.0", "1.1.0"}
    assert classic.only_legal_moves()


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before its effects", "after the first effect"])
@pytest.mark.parametrize("phase", [Phase.VERIFYING, Phase.REINSTALLING, Phase.RETURNING, Phase.RECHECKING])
def test_a_crash_on_the_way_back(classic: Device, phase: Phase, *, before_effects: bool, power_cut: bool) -> None:
    classic.server.offer("1.2.0", "urgent")
    run_until_killed(classic, phase, before_effects=before_effects)
    go_on_after(classic, power_cut=power_cut)
    classic.until(classic.told("rolled_back", "1.2.0"))
    assert [word for word in classic.server.words("1.2.0") if word in OUTCOMES] == ["rolled_back"]
    assert (classic.world.installed_version, classic.world.running) == ("1.0.0", "1.0.0")
    assert classic.only_legal_moves()


def test_a_reinstallation_still_at_work_is_joined(classic: Device) -> None:
    classic.server.offer("1.2.0", "urgent")
    run_until_killed(classic, Phase.REINSTALLING, before_effects=True)
    classic.kill()
    classic.world.at_work = (Step.REINSTALL, StepRequest("sample-assistant", "1.0.0", "urgent"))
    classic.start()
    classic.until(classic.told("rolled_back", "1.2.0"))
    assert classic.world.reinstalls_done == ["1.0.0"]
