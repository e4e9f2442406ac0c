"""Hooks of a release, and releases that cannot go back as far as one would like."""

from __future__ import annotations

import pytest

from pi_hook.policy import Decided
from pi_hook.ports import Problem, ReleaseCommand, ReleaseTerms, Step
from pi_hook.reasons import Reason
from pi_hook.update import Phase
from pi_hook.wire import Gate, Withheld
from tests.integration.pi_hook_daemon.story import Device
from tests.integration.pi_hook_daemon.test_crashes import OUTCOMES, go_on_after, run_until_killed

BEFORE, AFTER = ReleaseCommand.BEFORE_ACTIVATION, ReleaseCommand.AFTER_ROLLBACK


@pytest.fixture
def hooked(settled: Device) -> Device:
    """1.1.0 (good) and 1.2.0 (crashes) have both hooks; an hour has passed without use."""
    for version in ("1.1.0", "1.2.0"):
        settled.world.published[version].terms = ReleaseTerms(before_activation=True, after_rollback=True)
    settled.run_for(3600)
    return settled


def test_the_hook_runs_before_the_flip_while_the_old_release_runs(hooked: Device) -> None:
    hooked.server.offer("1.1.0", "urgent")
    hooked.until(hooked.told("succeeded", "1.1.0"))
    assert hooked.world.hooks == [("before_activation", "1.1.0", "1.0.0", "1.0.0")]
    assert hooked.world.starts == ["1.0.0", "1.1.0"]


def test_a_first_installation_prepares_nothing(device: Device) -> None:
    """Its postinst has pointed `current` at it and started it already."""
    device.world.published["1.0.0"].terms = ReleaseTerms(before_activation=True)
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    assert device.world.hooks == []


def test_a_hook_that_fails_ends_the_update_and_the_old_release_runs_on_untouched(hooked: Device) -> None:
    problem = "the hook before_activation ended with 3: no room for the new index"
    hooked.world.published["1.1.0"].hook_problems = {BEFORE: problem}
    offer = hooked.server.offer("1.1.0", "urgent")
    hooked.until(hooked.told("failed", "1.1.0"))
    outcome = hooked.server.statuses[-1]
    assert outcome.detail == f"{problem}; it was not activated, 1.0.0 runs on"
    assert outcome.log_tail == "before_activation of 1.1.0 speaks"
    assert "activating" not in hooked.server.words("1.1.0")
    assert (hooked.world.starts, hooked.world.active()) == (["1.0.0"], "1.0.0")
    assert hooked.only_legal_moves()
    hooked.server.offered = offer
    hooked.run_for(7200)
    assert len(hooked.world.hooks) == 1, "a bad version is not tried again"


def test_somebody_comes_while_the_hook_runs_then_the_gate_is_closed_and_the_hook_runs_again(hooked: Device) -> None:
    hooked.world.during_hook[BEFORE] = hooked.press
    hooked.server.offer("1.1.0", "urgent")
    hooked.until(hooked.told("deferred", "1.1.0"))
    assert hooked.server.statuses[-1].reason == "RECENT_ACTIVITY"
    assert hooked.world.running == "1.0.0"
    hooked.until(hooked.told("succeeded", "1.1.0"))
    assert [which for which, *_ in hooked.world.hooks] == ["before_activation"] * 2
    assert hooked.only_legal_moves()


@pytest.mark.parametrize("reason", ["PAUSED", None])
def test_a_grant_that_is_taken_back_while_the_hook_runs_is_not_activated(hooked: Device, reason: str | None) -> None:
    offer = hooked.server.offer("1.1.0", "urgent")

    def taken_back() -> None:
        assert hooked.daemon is not None
        hooked.server.offered = None
        hooked.server.withheld = Withheld(offer.update_id, "1.1.0", reason) if reason else None
        hooked.daemon.exchange.exchange()

    hooked.world.during_hook[BEFORE] = taken_back
    hooked.until(lambda: hooked.server.statuses[-1].reason == "WITHHELD")
    hooked.run_for(7200)
    assert hooked.world.running == "1.0.0"
    hooked.server.offered, hooked.server.withheld = offer, None
    hooked.until(hooked.told("succeeded", "1.1.0"))


def test_on_the_way_back_the_bad_release_undoes_what_it_did_while_nothing_runs(hooked: Device) -> None:
    hooked.server.offer("1.2.0", "urgent")
    hooked.until(hooked.told("rolled_back", "1.2.0"))
    assert hooked.world.hooks == [
        ("before_activation", "1.2.0", "1.0.0", "1.0.0"),
        ("after_rollback", "1.2.0", "1.0.0", None),
    ]
    assert hooked.world.running == "1.0.0"
    assert hooked.only_legal_moves()


@pytest.mark.parametrize("stops", [True, False])
def test_a_hook_that_fails_on_the_way_back_is_told_and_stops_nothing(hooked: Device, *, stops: bool) -> None:
    hooked.world.published["1.2.0"].hook_problems = {AFTER: "the hook after_rollback did not answer within 60 s"}
    hooked.world.stop_errors = [] if stops else ["systemd did not stop it"]
    hooked.server.offer("1.2.0", "urgent")
    hooked.until(hooked.told("rolled_back", "1.2.0"))
    detail = hooked.server.statuses[-1].detail or ""
    assert detail.endswith("; the hook after_rollback did not answer within 60 s; 1.0.0 is active again")
    assert hooked.server.statuses[-1].log_tail == "Traceback of 1.2.0"
    assert hooked.world.running == "1.0.0"


def test_a_hook_that_cannot_be_started_is_a_hook_that_failed(hooked: Device) -> None:
    hooked.world.begin_errors = ["release.json is damaged"]
    hooked.server.offer("1.1.0", "urgent")
    hooked.until(hooked.told("failed", "1.1.0"))
    assert "before_activation of 1.1.0 could not be started: release.json is damaged" in (
        hooked.server.statuses[-1].detail or ""
    )
    assert hooked.world.running == "1.0.0"


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before the hook", "while it runs"])
def test_a_crash_while_the_hook_prepares(hooked: Device, *, before_effects: bool, power_cut: bool) -> None:
    hooked.server.offer("1.1.0", "urgent")
    run_until_killed(hooked, Phase.PREPARING, before_effects=before_effects)
    go_on_after(hooked, power_cut=power_cut)
    hooked.until(hooked.told("succeeded", "1.1.0"))
    assert [which for which, *_ in hooked.world.hooks] == ["before_activation"]
    assert [word for word in hooked.server.words("1.1.0") if word in OUTCOMES] == ["succeeded"]
    assert hooked.world.active() == hooked.world.running == "1.1.0"
    assert hooked.only_legal_moves()


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before its effects", "after the first effect"])
@pytest.mark.parametrize("phase", [Phase.RETURNING, Phase.RECHECKING])
def test_a_crash_while_the_hook_undoes(hooked: Device, phase: Phase, *, before_effects: bool, power_cut: bool) -> None:
    hooked.server.offer("1.2.0", "urgent")
    run_until_killed(hooked, phase, before_effects=before_effects)
    go_on_after(hooked, power_cut=power_cut)
    hooked.until(hooked.told("rolled_back", "1.2.0"))
    assert hooked.world.hooks[-1][0] == "after_rollback"
    assert [word for word in hooked.server.words("1.2.0") if word in OUTCOMES] == ["rolled_back"]
    assert hooked.world.active() == hooked.world.running == "1.0.0"
    assert hooked.only_legal_moves()


def test_where_the_release_before_is_too_old_there_is_no_way_back_and_it_is_said(settled: Device) -> None:
    settled.world.published["1.2.0"].terms = ReleaseTerms(after_rollback=True, oldest_rollback="1.0.1")
    settled.run_for(3600)
    settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("failed", "1.2.0"))
    told = {status.status: status for status in settled.server.statuses if status.version == "1.2.0"}
    no_way = "there is no way back from 1.2.0 to 1.0.0, as 1.0.1 is the oldest that it can go back to"
    assert told["activating"].detail == no_way
    assert f"{no_way}, so 1.2.0 stays active; release a higher version" in (told["failed"].detail or "")
    assert told["failed"].log_tail == "Traceback of 1.2.0"
    assert (settled.world.active(), settled.world.running, settled.world.hooks) == ("1.2.0", "1.2.0", [])
    settled.server.offer("1.3.0", "urgent")
    settled.until(settled.told("succeeded", "1.3.0"))


def test_a_release_before_that_is_old_enough_is_gone_back_to(settled: Device) -> None:
    settled.world.published["1.2.0"].terms = ReleaseTerms(oldest_rollback="1.0.0")
    settled.run_for(3600)
    settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("rolled_back", "1.2.0"))
    assert settled.world.running == "1.0.0"
    assert all(status.detail is None for status in settled.server.statuses if status.status == "activating")


def test_the_daemon_answers_while_a_health_command_is_at_work(settled: Device) -> None:
    """The command ends only when the test lets it."""
    settled.world.published["1.1.0"].health_waits = True
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(lambda: settled.world.waiting)
    beats = len(settled.server.heartbeats)
    settled.run_for(1200)
    assert len(settled.server.heartbeats) >= beats + 3
    assert "succeeded" not in settled.server.words("1.1.0")
    settled.world.published["1.1.0"].health_waits = False
    assert settled.world.waiting is not None
    settled.world.waiting.let_go()
    settled.until(settled.told("succeeded", "1.1.0"))


def test_a_device_whose_agent_is_too_old_waits_and_its_server_knows_why(settled: Device) -> None:
    settled.world.published["1.1.0"].problems = {Step.REFRESH: [Problem.DEPENDENCY_BLOCKED] * 3}
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    deferred = settled.server.statuses[-1]
    assert (deferred.reason, deferred.detail) == ("DEPENDENCY_BLOCKED", "as the test wants it")
    settled.until(lambda: settled.server.heartbeats[-1].gate == Gate(Decided.DEFER, Reason.DEPENDENCY_BLOCKED))
    assert settled.world.installs == ["1.0.0"]
    settled.until(settled.told("succeeded", "1.1.0"))
