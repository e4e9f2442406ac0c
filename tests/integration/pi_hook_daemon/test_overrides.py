"""What a person at the device asks for: installing now, and going back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from pi_hook.errors import OverrideError
from pi_hook.ports import Problem, ReleaseTerms, Step
from pi_hook.update import Phase
from pi_hook.wire import Withheld
from tests.integration.pi_hook_daemon.story import Device
from tests.integration.pi_hook_daemon.test_crashes import OUTCOMES, go_on_after, run_until_killed
from tests.support.pi_hook_fakes import Release

NOW = "a person asked for it (`pi-hook install --now`)"
BACK = "a person asked to go back (`pi-hook rollback`)"


def install_now(device: Device) -> None:
    assert device.daemon is not None
    device.daemon.driver.install_now()


def roll_back(device: Device) -> None:
    assert device.daemon is not None
    device.daemon.driver.roll_back("sample-assistant")


@pytest.fixture
def waiting(settled: Device) -> Device:
    """1.0.1 is offered and waits for the night; somebody has just used the assistant."""
    settled.press()
    settled.world.published["1.0.1"] = Release()
    settled.server.offer("1.0.1", "scheduled")
    settled.until(settled.told("deferred", "1.0.1"))
    return settled


@pytest.fixture
def updated(settled: Device) -> Device:
    """1.1.0 runs and is proven; 1.0.0 is there still."""
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("succeeded", "1.1.0"))
    settled.run_for(600)
    return settled


def test_install_now_waits_neither_for_the_night_nor_for_rest_and_is_recorded(waiting: Device) -> None:
    began = waiting.clock.wall
    install_now(waiting)
    waiting.until(waiting.told("succeeded", "1.0.1"), hours=0.2)
    assert waiting.clock.wall - began < timedelta(minutes=5)
    told = {status.status: status.detail for status in waiting.server.statuses if status.version == "1.0.1"}
    assert [told[word] for word in ("installing", "activating", "succeeded")] == [NOW] * 3
    assert waiting.status()["history"][0]["detail"] == NOW
    assert waiting.only_legal_moves()


def test_a_person_s_word_does_not_last_longer_than_the_update(waiting: Device) -> None:
    install_now(waiting)
    waiting.until(waiting.told("succeeded", "1.0.1"))
    waiting.press()
    waiting.server.offer("1.1.0", "urgent")
    waiting.until(waiting.told("deferred", "1.1.0"), hours=0.5)
    assert waiting.server.statuses[-1].reason == "RECENT_ACTIVITY"


def test_install_now_waits_for_the_end_of_something(waiting: Device) -> None:
    assert waiting.daemon is not None
    waiting.daemon.activity.begin_busy(7, 900, "an alarm")
    install_now(waiting)
    waiting.until(lambda: waiting.server.statuses[-1].reason == "BUSY")
    waiting.run_for(600)
    assert waiting.world.installs == ["1.0.0"]
    waiting.until(waiting.told("succeeded", "1.0.1"), hours=0.5)


def test_install_now_is_no_way_around_what_keeps_the_device_safe(waiting: Device) -> None:
    waiting.world.problems = frozenset({"ON_BATTERY"})
    install_now(waiting)
    waiting.until(lambda: waiting.server.statuses[-1].reason == "ON_BATTERY")
    waiting.run_for(3600)
    assert waiting.world.installs == ["1.0.0"]
    waiting.world.problems = frozenset()
    waiting.until(waiting.told("succeeded", "1.0.1"), hours=0.2)


def held_here(device: Device) -> None:
    assert device.daemon is not None
    device.daemon.ledger.commit(
        type(device.daemon.ledger.memory.device)(held_here=True, last_good="1.0.0"), (), device.clock.wall
    )


def held_by_an_operator(device: Device) -> None:
    device.server.hold = "guests"
    device.run_for(600)


def held_by_apt(device: Device) -> None:
    device.world.held = True


def withheld(device: Device) -> None:
    device.server.offered, device.server.withheld = None, Withheld("update-1.0.1", "1.0.1", "PAUSED")
    device.run_for(600)


@pytest.mark.parametrize(
    ("forbid", "words"),
    [
        (held_here, "updates are held here"),
        (held_by_an_operator, "updates are held by an operator"),
        (held_by_apt, "apt-mark unhold"),
        (withheld, r"the server withholds 1\.0\.1: PAUSED"),
    ],
)
def test_a_hold_and_a_withhold_are_not_overridden(
    waiting: Device, forbid: Callable[[Device], None], words: str
) -> None:
    forbid(waiting)
    with pytest.raises(OverrideError, match=words):
        install_now(waiting)
    waiting.run_for(3600)
    assert waiting.world.installs == ["1.0.0"]


def test_a_withhold_that_comes_after_the_person_s_word_counts(waiting: Device) -> None:
    assert waiting.daemon is not None
    waiting.daemon.activity.begin_busy(7, 1800, "an alarm")
    install_now(waiting)
    withheld(waiting)
    waiting.run_for(7200)
    assert waiting.world.installs == ["1.0.0"]


def test_without_an_offer_there_is_nothing_to_install(settled: Device) -> None:
    with pytest.raises(OverrideError, match="no release is offered"):
        install_now(settled)


def test_install_now_tries_at_once_what_waits_after_a_problem(settled: Device) -> None:
    settled.world.published["1.1.0"].problems = {Step.DOWNLOAD: [Problem.UNREACHABLE]}
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    install_now(settled)
    settled.until(settled.told("succeeded", "1.1.0"), hours=0.1)


def test_a_restarted_daemon_still_knows_what_the_person_said(waiting: Device) -> None:
    assert waiting.daemon is not None
    waiting.daemon.activity.begin_busy(7, 60, "an alarm")
    install_now(waiting)
    waiting.kill()
    waiting.start()
    waiting.until(waiting.told("succeeded", "1.0.1"), hours=0.2)


def test_rollback_goes_back_at_once_without_the_network_and_is_reported(updated: Device) -> None:
    updated.press()
    updated.server.reachable = False
    roll_back(updated)
    updated.until(lambda: updated.world.running == "1.0.0", hours=0.1)
    updated.run_for(300)
    assert updated.status()["history"][0]["outcome"] == "rolled_back"
    updated.server.reachable = True
    updated.until(updated.told("rolled_back", "1.1.0"))
    outcome = updated.server.statuses[-1]
    assert (outcome.update_id, outcome.detail) == ("update-1.1.0", f"{BACK}; 1.0.0 is active again")
    updated.until(lambda: updated.server.heartbeats[-1].active == "1.0.0")
    assert updated.server.heartbeats[-1].installed == "1.1.0"
    assert updated.status()["bad_versions"] == ["1.1.0"]
    assert updated.status()["last_good"] == "1.0.0"
    assert updated.only_legal_moves()


def test_the_version_gone_back_from_is_not_tried_again_unless_expedited(updated: Device) -> None:
    roll_back(updated)
    updated.until(updated.told("rolled_back", "1.1.0"))
    updated.server.offer("1.1.0", "urgent")
    updated.run_for(3 * 24 * 3600)
    assert updated.world.running == "1.0.0"
    updated.server.offer("1.1.0", "urgent", expedited=True)
    updated.until(lambda: updated.server.words("1.1.0").count("succeeded") == 2)


def test_an_update_that_waits_is_set_aside_and_comes_again(updated: Device) -> None:
    updated.press()
    updated.server.offer("1.3.0", "urgent")
    updated.until(updated.told("deferred", "1.3.0"))
    roll_back(updated)
    updated.until(updated.told("rolled_back", "1.1.0"), hours=0.2)
    assert updated.world.running == "1.0.0"
    updated.until(updated.told("succeeded", "1.3.0"))


def test_the_hook_of_the_release_that_is_left_undoes_what_it_did(updated: Device) -> None:
    updated.world.published["1.1.0"].terms = ReleaseTerms(after_rollback=True)
    roll_back(updated)
    updated.until(updated.told("rolled_back", "1.1.0"))
    assert updated.world.hooks == [("after_rollback", "1.1.0", "1.0.0", None)]


def test_a_release_that_is_being_watched_can_be_left(settled: Device) -> None:
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("verifying", "1.1.0"))
    roll_back(settled)
    settled.until(settled.told("rolled_back", "1.1.0"))
    assert settled.world.running == "1.0.0"
    assert settled.only_legal_moves()


def test_a_release_before_that_is_not_well_either_is_told_so(updated: Device) -> None:
    updated.world.published["1.0.0"].crashes = True
    roll_back(updated)
    updated.until(updated.told("failed", "1.1.0"))
    assert f"{BACK}; the way back to 1.0.0 failed too" in (updated.server.statuses[-1].detail or "")
    assert updated.only_legal_moves()


def test_an_installation_at_work_is_not_cut_off(updated: Device) -> None:
    def back() -> None:
        with pytest.raises(OverrideError, match=r"1\.3\.0 is at work \(installing\)"):
            roll_back(updated)

    updated.run_for(3600)
    updated.world.during[Step.INSTALL] = back
    updated.server.offer("1.3.0", "urgent")
    updated.until(updated.told("succeeded", "1.3.0"))


def test_where_there_is_no_way_back_it_is_said_and_nothing_is_done(settled: Device) -> None:
    with pytest.raises(OverrideError, match=r"no release that could be gone back to from 1\.0\.0"):
        roll_back(settled)
    settled.run_for(3600)
    settled.world.published["1.1.0"].terms = ReleaseTerms(oldest_rollback="1.0.5")
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("verifying", "1.1.0"))
    with pytest.raises(OverrideError, match="no way back"):
        roll_back(settled)
    settled.until(settled.told("succeeded", "1.1.0"))
    with pytest.raises(OverrideError, match=r"1\.1\.0 can go back to 1\.0\.5 at the oldest"):
        roll_back(settled)
    assert settled.world.running == "1.1.0"
    settled.world.current = None
    with pytest.raises(OverrideError, match="pi-hook-recover"):
        roll_back(settled)


def test_without_a_known_update_the_way_back_is_in_the_history_and_the_heartbeats(updated: Device) -> None:
    """As after a lost state file: no update can be named to the server."""
    updated.kill()
    (updated.folder / "state" / "state.json").unlink()
    updated.start()
    told = len(updated.server.statuses)
    roll_back(updated)
    updated.kill()  # the update is in the state file
    updated.start()
    updated.until(lambda: updated.server.heartbeats[-1].active == "1.0.0" and updated.status()["update"] is None)
    assert updated.status()["history"][0]["outcome"] == "rolled_back"
    assert len(updated.server.statuses) == told
    assert all(beat.update is None or beat.update[0] != "-" for beat in updated.server.heartbeats)


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before its effects", "after the first effect"])
@pytest.mark.parametrize("phase", [Phase.RETURNING, Phase.RECHECKING])
def test_a_crash_on_a_person_s_way_back(
    updated: Device, phase: Phase, *, before_effects: bool, power_cut: bool
) -> None:
    updated.daemon.loop.after(1, lambda: roll_back(updated))  # type: ignore[union-attr]  # it runs
    run_until_killed(updated, phase, before_effects=before_effects)
    go_on_after(updated, power_cut=power_cut)
    updated.until(updated.told("rolled_back", "1.1.0"))
    assert [word for word in updated.server.words("1.1.0") if word in OUTCOMES] == ["succeeded", "rolled_back"]
    assert updated.world.active() == updated.world.running == "1.0.0"
    assert updated.only_legal_moves()
