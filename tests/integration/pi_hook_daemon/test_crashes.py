"""The daemon, or the power, goes away at every durable state: the update still ends in one true outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pi_hook import verdicts
from pi_hook.effects import Effect
from pi_hook.ports import Step, StepRequest
from pi_hook.update import Phase
from tests.integration.pi_hook_daemon.story import Device

OUTCOMES = {"succeeded", "rolled_back", "failed"}
TO_SUCCESS = [
    Phase.REFRESHING, Phase.DOWNLOADING, Phase.DOWNLOADED, Phase.INSTALLING, Phase.INSTALLED, Phase.ACTIVATING,
    Phase.RESTARTING, Phase.VERIFYING,
]  # fmt: skip
TO_ROLLBACK = [Phase.VERIFYING, Phase.RETURNING, Phase.RECHECKING]


class Killed(BaseException):
    """The daemon is gone in the middle of whatever it did."""


def run_until_killed(device: Device, phase: Phase, *, before_effects: bool) -> None:
    """Run until the phase is durable, then die: before its effects were begun, or right after the first one."""
    assert device.daemon is not None
    driver, ledger = device.daemon.driver, device.daemon.ledger
    perform: Callable[[Effect], bool] = driver._perform
    commit = ledger.commit

    def killing_commit(*arguments: object) -> None:
        commit(*arguments)  # type: ignore[arg-type]  # passed through
        update = ledger.memory.device.update
        if before_effects and update is not None and update.phase is phase:
            raise Killed

    def killing_perform(effect: Effect) -> bool:
        update = ledger.memory.device.update
        at_phase = update is not None and update.phase is phase
        done = perform(effect)
        if not before_effects and at_phase:
            raise Killed
        return done

    ledger.commit = killing_commit  # type: ignore[method-assign,assignment]  # the kill
    driver._perform = killing_perform  # type: ignore[method-assign]  # the kill
    with pytest.raises(Killed):
        device.until(lambda: False)


def go_on_after(device: Device, *, power_cut: bool) -> None:
    if power_cut:
        device.power_cut()
    else:
        device.kill()
        device.clock.advance(10)
    device.start()


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before its effects", "after the first effect"])
@pytest.mark.parametrize("phase", TO_SUCCESS)
def test_a_good_release_succeeds_once(settled: Device, phase: Phase, *, before_effects: bool, power_cut: bool) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    run_until_killed(settled, phase, before_effects=before_effects)
    go_on_after(settled, power_cut=power_cut)
    settled.until(settled.told("succeeded", "1.1.0"))
    settled.run_for(3600)
    words = settled.server.words("1.1.0")
    assert [word for word in words if word in OUTCOMES] == ["succeeded"]
    assert settled.world.active() == settled.world.running == settled.world.installed_version == "1.1.0"
    sequences = [status.sequence for status in settled.server.statuses]
    assert sequences == list(range(1, len(sequences) + 1)), "no gap and no repetition"
    assert settled.only_legal_moves()


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("before_effects", [True, False], ids=["before its effects", "after the first effect"])
@pytest.mark.parametrize("phase", TO_ROLLBACK)
def test_a_bad_release_is_rolled_back_once(
    settled: Device, phase: Phase, *, before_effects: bool, power_cut: bool
) -> None:
    settled.press()
    settled.server.offer("1.2.0", "urgent")
    run_until_killed(settled, phase, before_effects=before_effects)
    go_on_after(settled, power_cut=power_cut)
    settled.until(settled.told("rolled_back", "1.2.0"))
    settled.run_for(3600)
    assert [word for word in settled.server.words("1.2.0") if word in OUTCOMES] == ["rolled_back"]
    assert settled.world.active() == settled.world.running == "1.0.0"
    assert settled.server.statuses[-1].log_tail
    assert settled.only_legal_moves()


def test_killed_between_state_and_outbox_a_status_is_neither_lost_nor_doubled(settled: Device) -> None:
    settled.press()
    assert settled.daemon is not None
    outbox = settled.daemon.ledger.outbox
    append = outbox.append

    def killing_append(statuses: object) -> None:
        fresh = list(statuses)  # type: ignore[call-overload]  # passed through
        if any(
            status.status == "verifying" and status.version == "1.1.0" and status.sequence > outbox.last
            for status in fresh
        ):
            raise Killed
        append(fresh)

    outbox.append = killing_append  # type: ignore[method-assign]  # the kill
    settled.server.offer("1.1.0", "urgent")
    with pytest.raises(Killed):
        settled.until(lambda: False)
    go_on_after(settled, power_cut=False)
    settled.until(settled.told("succeeded", "1.1.0"))
    assert settled.server.words("1.1.0").count("verifying") == 1


def test_a_step_still_at_work_is_joined_and_not_started_again(settled: Device) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    run_until_killed(settled, Phase.INSTALLING, before_effects=True)
    settled.kill()
    settled.world.at_work = (Step.INSTALL, StepRequest("sample-assistant", "1.1.0", "urgent"))
    settled.start()
    settled.until(settled.told("succeeded", "1.1.0"))
    assert settled.world.installs == ["1.0.0", "1.1.0"]


def test_an_interrupted_installation_asks_the_gate_again_after_a_power_cut(settled: Device) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    run_until_killed(settled, Phase.INSTALLING, before_effects=True)
    settled.power_cut()
    settled.start()
    settled.press()
    settled.until(lambda: settled.server.words("1.1.0")[-1] == "deferred", hours=0.5)
    assert settled.world.installs == ["1.0.0"]
    settled.until(settled.told("succeeded", "1.1.0"))


def test_a_restarted_daemon_does_not_forget_that_somebody_was_there(settled: Device) -> None:
    settled.run_for(3 * 3600)
    settled.press()
    settled.kill()
    settled.clock.advance(5)
    settled.start()
    assert settled.status()["idle_seconds"] <= 5


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}', "\0" * 100])
def test_an_unusable_state_file_is_set_aside_and_the_truth_found_again(settled: Device, content: str) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    run_until_killed(settled, Phase.VERIFYING, before_effects=True)
    settled.kill()
    state = settled.folder / "state"
    (state / "state.json").write_text(content)
    settled.start()
    settled.until(settled.told("succeeded", "1.1.0"))
    assert (state / "state.json.unusable").read_text() == content
    sequences = [status.sequence for status in settled.server.statuses]
    assert sequences == sorted(set(sequences)), "numbers are never used twice"


def test_an_unusable_outbox_costs_no_number_and_blocks_nothing(settled: Device) -> None:
    settled.press()
    settled.kill()
    (settled.folder / "state" / "outbox.json").write_text("nonsense")
    settled.server.offer("1.1.0", "urgent")
    settled.start()
    settled.until(settled.told("succeeded", "1.1.0"))
    assert (settled.folder / "state" / "outbox.json.unusable").exists()


@pytest.mark.parametrize("damage", ["missing", "{", '{"schema": 1}'])
def test_a_lost_state_file_makes_no_bad_version_new(settled: Device, damage: str) -> None:
    """Even where the server has forgotten too."""
    settled.run_for(3600)
    bad = settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("rolled_back", "1.2.0"))
    settled.kill()
    state = settled.folder / "state" / "state.json"
    if damage == "missing":
        state.unlink()
    else:
        state.write_text(damage)
    settled.start()
    settled.server.offered = bad
    settled.run_for(3 * 24 * 3600)
    assert settled.world.starts.count("1.2.0") == 1
    assert settled.status()["bad_versions"] == ["1.2.0"]
    assert settled.status()["last_good"] == "1.0.0"
    settled.world.published["1.2.0"].crashes = False
    settled.server.offer("1.2.0", "urgent", expedited=True)
    settled.until(settled.told("succeeded", "1.2.0"))
    assert settled.status()["bad_versions"] == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "last_good": 3, "bad": []}'])
def test_unusable_verdicts_are_set_aside_and_stop_nothing(settled: Device, content: str) -> None:
    settled.kill()
    state = settled.folder / "state"
    (state / "state.json").unlink()
    (state / "verdicts.json").write_text(content)
    settled.start()
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("succeeded", "1.1.0"))
    assert (state / "verdicts.json.unusable").read_text() == content
    assert verdicts.last_good(state) == "1.1.0"


def test_a_bad_version_is_not_tried_again_after_a_restart_of_the_daemon(settled: Device) -> None:
    settled.run_for(3600)
    bad = settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("rolled_back", "1.2.0"))
    for go_away in (settled.kill, settled.power_cut):
        go_away()
        settled.start()
        settled.server.offered = bad
        settled.run_for(24 * 3600)
    assert settled.world.starts.count("1.2.0") == 1
