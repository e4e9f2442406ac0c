"""A device's life as its server sees it: the whole daemon over in-memory hands and an injected clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pi_hook import files
from pi_hook.ports import Problem, Step
from pi_hook.wire import Withheld
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import START, Release

WHOLE = ["refreshed", "downloading", "downloaded", "installing", "activating", "restarting", "verifying", "succeeded"]


def test_it_enrolls_once_and_writes_the_apt_source(device: Device) -> None:
    device.start()
    device.until(lambda: device.server.heartbeats)
    assert [r.hostname for r in device.server.registrations] == ["kitchen"]
    assert device.enrolled == 1
    assert device.world.apt is not None
    assert (device.world.apt.debian, device.world.apt.channel) == ("trixie", "stable")
    assert device.world.apt.device_id == device.server.registrations[0].id
    device.kill()
    device.start()
    device.run_for(600)
    assert len(device.server.registrations) == 1


def test_a_first_installation_waits_for_no_night(device: Device) -> None:
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"), hours=0.2)
    assert device.server.words("1.0.0") == WHOLE
    assert [s.sequence for s in device.server.statuses] == list(range(1, 9))
    assert device.world.starts == ["1.0.0"], "its postinst started it; a second start would only cost time"


def test_an_urgent_release_waits_for_an_idle_hour_and_says_until_when(settled: Device) -> None:
    settled.press()
    pressed = settled.clock.wall
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"), hours=0.5)
    deferred = settled.server.statuses[-1]
    assert deferred.reason == "RECENT_ACTIVITY"
    assert deferred.retry_at == pressed + timedelta(hours=1)
    assert settled.server.heartbeats[-1].gate is not None
    settled.until(settled.told("succeeded", "1.1.0"), hours=2)
    installing = next(s for s in settled.server.statuses if s.status == "installing" and s.version == "1.1.0")
    assert timedelta(0) <= installing.at - (pressed + timedelta(hours=1)) < timedelta(seconds=2)
    assert settled.world.active() == settled.world.running == "1.1.0"
    assert "STATUS=waiting: RECENT_ACTIVITY" in " ".join(settled.notified)


def test_a_scheduled_release_waits_for_the_night(settled: Device) -> None:
    settled.world.published["1.0.1"] = Release()
    settled.server.offer("1.0.1", "scheduled")
    settled.until(settled.told("succeeded", "1.0.1"))
    told = {s.status: s for s in settled.server.statuses if s.version == "1.0.1"}
    assert told["deferred"].reason == "OUTSIDE_WINDOW"
    opens = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)
    assert told["deferred"].retry_at is not None
    assert opens <= told["deferred"].retry_at < opens + timedelta(hours=1)
    assert told["installing"].at >= told["deferred"].retry_at - timedelta(seconds=1)
    assert told["installing"].at < opens + timedelta(hours=2)


def test_the_gate_is_asked_again_before_the_restart(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.during[Step.INSTALL] = settled.press
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.world.installed_version == "1.1.0"
    assert settled.world.running == "1.0.0"
    settled.until(settled.told("succeeded", "1.1.0"))
    whole = list(WHOLE)
    whole.insert(whole.index("activating"), "deferred")
    assert settled.server.words("1.1.0") == whole


def test_the_way_back_is_not_blamed_for_the_restart_that_systemd_made_itself(settled: Device) -> None:
    settled.world.own_restart_after_flip = True
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("succeeded", "1.1.0"))
    settled.run_for(3600)
    settled.server.offer("1.2.0", "urgent")
    settled.until(lambda: settled.server.statuses[-1].status in {"rolled_back", "failed"})
    assert settled.server.statuses[-1].status == "rolled_back"
    assert settled.world.running == "1.1.0"


def test_a_release_that_crashes_is_rolled_back_reported_and_not_tried_again(settled: Device) -> None:
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("succeeded", "1.1.0"))
    settled.run_for(3600)
    bad = settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("rolled_back", "1.2.0"))
    outcome = settled.server.statuses[-1]
    assert outcome.log_tail == "Traceback of 1.2.0"
    assert outcome.detail is not None
    assert "1.1.0 is active again" in outcome.detail
    assert (settled.world.installed_version, settled.world.active(), settled.world.running) == (
        "1.2.0",
        "1.1.0",
        "1.1.0",
    )
    settled.until(lambda: settled.server.heartbeats[-1].installed == "1.2.0")
    assert settled.server.heartbeats[-1].active == "1.1.0"
    told, starts = len(settled.server.statuses), list(settled.world.starts)
    settled.server.offered = bad
    settled.run_for(30 * 3600)
    assert len(settled.server.statuses) == told
    assert settled.world.starts == starts
    settled.world.published["1.2.0"].crashes = False
    settled.server.offer("1.2.0", "urgent", expedited=True)
    settled.until(settled.told("succeeded", "1.2.0"), hours=0.5)  # it is evening, and an urgent one waits for no night
    assert settled.server.words("1.2.0")[-5:] == ["refreshed", "activating", "restarting", "verifying", "succeeded"]


def test_an_expedited_offer_that_fails_again_is_not_a_loop(settled: Device) -> None:
    settled.run_for(3600)
    settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("rolled_back", "1.2.0"))
    offer = settled.server.offer("1.2.0", "urgent", expedited=True)
    settled.until(lambda: settled.server.words("1.2.0").count("rolled_back") == 2)
    assert settled.server.offered is None
    settled.server.offered = offer  # a server that has not taken the outcome in yet
    settled.run_for(7200)
    assert settled.server.words("1.2.0").count("rolled_back") == 2


def test_a_broken_first_release_is_failed_with_the_journal_s_tail(device: Device) -> None:
    device.start()
    device.server.offer("1.2.0", "urgent")
    device.until(device.told("failed", "1.2.0"))
    assert device.server.statuses[-1].log_tail == "Traceback of 1.2.0"
    assert "no earlier release" in (device.server.statuses[-1].detail or "")


def test_when_even_the_old_release_is_unwell_the_outcome_is_failed(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.published["1.0.0"].crashes = True
    settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("failed", "1.2.0"))
    assert "the way back to 1.0.0 failed too" in (settled.server.statuses[-1].detail or "")
    assert settled.server.words("1.2.0")[-1] == "failed"


def test_an_unhealthy_release_is_rolled_back_although_its_process_runs(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.published["1.1.0"].health = "the check says no"
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("rolled_back", "1.1.0"))
    assert "the check says no" in (settled.server.statuses[-1].detail or "")


def test_an_installation_that_dpkg_does_not_confirm_never_succeeds(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.published["1.1.0"].misses = True
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("failed", "1.1.0"))
    assert settled.world.running == "1.0.0"
    assert "succeeded" not in settled.server.words("1.1.0")


def test_problems_of_steps_are_waited_out(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.published["1.1.0"].problems = {
        Step.REFRESH: [Problem.UNREACHABLE, Problem.NOT_PUBLISHED],
        Step.DOWNLOAD: [Problem.UNTRUSTED, Problem.DISK_FULL],
        Step.INSTALL: [Problem.APT_LOCKED],
    }
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("succeeded", "1.1.0"))
    reasons = [s.reason for s in settled.server.statuses if s.status == "deferred"]
    assert reasons == ["NOT_DOWNLOADED", "NOT_DOWNLOADED", "DISK_FULL", "APT_LOCKED"]


def test_what_keeps_packages_from_coming_is_one_word_everywhere(settled: Device) -> None:
    """In the status once, however often it is tried again; in every heartbeat; in `pi-hook status`."""
    settled.run_for(3600)
    settled.world.published["1.1.0"].problems = {Step.DOWNLOAD: [Problem.DEPENDENCY_BLOCKED] * 8}
    settled.server.offer("1.1.0", "scheduled")
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.status()["gate"]["reason"] == "DEPENDENCY_BLOCKED"
    before = len(settled.server.heartbeats)
    settled.until(settled.told("downloaded", "1.1.0"))
    told = {beat.gate.reason for beat in settled.server.heartbeats[before + 1 : -1] if beat.gate}
    assert told == {"DEPENDENCY_BLOCKED"}
    assert settled.server.words("1.1.0")[:4] == ["refreshed", "downloading", "deferred", "downloaded"]


def test_a_forged_urgency_ends_the_update(settled: Device) -> None:
    settled.world.published["1.1.0"].problems = {Step.REFRESH: [Problem.URGENCY_MISMATCH]}
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("failed", "1.1.0"))
    assert settled.world.installs == ["1.0.0"]


def test_bytes_that_stay_untrusted_fail_the_update_and_install_nothing(settled: Device) -> None:
    settled.world.published["1.1.0"].problems = {Step.DOWNLOAD: [Problem.UNTRUSTED] * 5}
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("failed", "1.1.0"))
    assert settled.world.installs == ["1.0.0"]


def test_the_signed_urgency_counts_not_the_offered_one(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.published["1.1.0"].urgency = "scheduled"
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.server.statuses[-1].reason == "OUTSIDE_WINDOW"


def test_a_pause_stops_a_device_that_has_not_started_and_lifting_it_lets_it_go_on(settled: Device) -> None:
    settled.press()
    offer = settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    settled.server.offered, settled.server.withheld = None, Withheld(offer.update_id, "1.1.0", "PAUSED")
    settled.until(lambda: settled.server.statuses[-1].reason == "WITHHELD", hours=1)
    settled.run_for(3 * 3600)
    assert settled.world.running == "1.0.0"
    settled.server.offered, settled.server.withheld = offer, None
    settled.until(settled.told("succeeded", "1.1.0"))


def test_a_hold_by_a_person_or_the_operator_defers(settled: Device) -> None:
    settled.run_for(3600)
    settled.server.hold = "guests"
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.server.statuses[-1].reason == "HELD_BY_ADMIN"
    assert settled.status()["hold"] == "guests"
    settled.server.hold = None
    settled.until(settled.told("succeeded", "1.1.0"))


def test_a_newer_offer_takes_the_place_of_one_that_waits(settled: Device) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    settled.server.offer("1.3.0", "urgent")
    settled.until(settled.told("succeeded", "1.3.0"))
    assert settled.world.installs == ["1.0.0", "1.3.0"]
    assert not {"succeeded", "failed", "rolled_back"} & set(settled.server.words("1.1.0"))


def test_the_server_away_and_back_loses_nothing_and_keeps_the_order(settled: Device) -> None:
    settled.run_for(3600)
    settled.server.offer("1.1.0", "urgent")

    def gone() -> None:
        settled.server.reachable = False

    settled.world.during[Step.INSTALL] = gone
    settled.run_for(4 * 3600)
    assert settled.world.running == "1.1.0"
    assert settled.status()["server"]["unsent"] == 8
    settled.server.reachable = True
    settled.until(settled.told("succeeded", "1.1.0"))
    assert [s.sequence for s in settled.server.statuses] == list(range(1, len(settled.server.statuses) + 1))
    assert settled.server.words("1.1.0")[-5:] == WHOLE[-5:]


def test_a_grant_that_nobody_confirms_waits_for_the_server_until_the_grace_is_over(settled: Device) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    settled.server.reachable = False
    settled.run_for(6 * 24 * 3600)
    assert settled.world.running == "1.0.0"
    assert settled.status()["gate"]["reason"] == "WITHHELD"
    settled.run_for(2 * 24 * 3600)
    assert settled.world.running == "1.1.0"


@pytest.mark.parametrize("status", [401, 403, 410])
def test_an_unwelcome_device_stops(settled: Device, status: int) -> None:
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("deferred", "1.1.0"))
    settled.server.refusal = status
    settled.run_for(900)
    before = settled.server.calls
    settled.run_for(12 * 3600)
    assert settled.world.running == "1.0.0"
    assert settled.status()["stopped"] is not None
    if status == 410:
        assert settled.server.calls == before
        assert settled.world.apt is None
    else:
        questions = 2 if status == 401 else 1  # unknown to the server, it also asks whether it may come back
        assert settled.server.calls - before <= questions * 15, "asked about once an hour"
        settled.server.refusal = None
        settled.until(settled.told("succeeded", "1.1.0"))
        assert settled.status()["stopped"] is None


def test_a_status_that_the_server_will_never_take_does_not_block_the_others(settled: Device) -> None:
    settled.run_for(3600)
    settled.server.rejects = lambda status: status.status == "activating"
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("succeeded", "1.1.0"))
    assert settled.server.words("1.1.0") == [word for word in WHOLE if word != "activating"]
    assert "activating" in (settled.folder / "state" / "refused.json").read_text()


def test_only_active_and_previous_release_stay_on_the_disk(settled: Device) -> None:
    for version in ("1.1.0", "1.3.0"):
        settled.run_for(3600)
        settled.server.offer(version, "urgent")
        settled.until(settled.told("succeeded", version))
    assert settled.world.on_disk == {"1.1.0", "1.3.0"}
    assert settled.world.protected == {"1.1.0", "1.3.0"}


def test_without_ntp_the_server_s_time_opens_the_window(settled: Device) -> None:
    settled.clock.synchronised = False
    settled.clock.wall -= timedelta(days=900)
    real = START + timedelta(hours=3)
    settled.server.clock = type(settled.clock)(real, settled.clock.monotonic)
    settled.world.published["1.0.1"] = Release()
    settled.server.offer("1.0.1", "scheduled")
    settled.until(settled.told("deferred", "1.0.1"))
    assert settled.server.statuses[-1].retry_at is not None
    assert settled.server.statuses[-1].retry_at.date() == datetime(2026, 3, 11, tzinfo=UTC).date()


def test_the_journal_is_asked_by_the_system_s_own_clock(settled: Device) -> None:
    settled.run_for(3600)
    settled.clock.synchronised = False
    settled.clock.wall -= timedelta(days=900)
    wrong = settled.clock.wall
    settled.server.clock = type(settled.clock)(START + timedelta(days=1), 0)
    settled.server.offer("1.2.0", "urgent")
    settled.until(settled.told("rolled_back", "1.2.0"))
    assert wrong <= settled.world.tails_since[0] < wrong + timedelta(hours=1)


def test_a_full_disk_stops_nothing_for_good(settled: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    settled.run_for(3600)
    real = files.write_atomic
    full = {"is": True}

    def write(path: Path, content: str, mode: int = 0o644) -> bool:
        if full["is"]:
            raise OSError(28, "No space left on device")
        return real(path, content, mode)

    for module in ("state", "outbox"):
        monkeypatch.setattr(f"pi_hook.{module}.write_atomic", write)
    settled.server.offer("1.1.0", "urgent")
    settled.run_for(3600)
    assert settled.world.running == "1.0.0"
    assert "No space left" in settled.status()["server"]["problem"]
    full["is"] = False
    settled.until(settled.told("succeeded", "1.1.0"))


def test_a_dpkg_that_cannot_be_asked_proves_nothing(settled: Device) -> None:
    settled.run_for(3600)

    def unreadable() -> None:
        settled.world.dpkg_unreadable = True

    settled.world.during[Step.INSTALL] = unreadable
    settled.server.offer("1.1.0", "urgent")
    settled.run_for(3600)
    assert "succeeded" not in settled.server.words("1.1.0")
    assert "dpkg cannot be asked" in settled.status()["assistant"]["broken"]


def test_flips_and_restarts_that_fail_end_in_a_true_outcome(settled: Device) -> None:
    settled.run_for(3600)
    settled.world.flip_errors = ["no space left"]
    settled.world.restart_errors = ["systemd refuses"]
    settled.server.offer("1.1.0", "urgent")
    settled.until(settled.told("rolled_back", "1.1.0"))
    assert "systemd refuses" in (settled.server.statuses[-1].detail or "")
    assert settled.world.active() == settled.world.running == "1.0.0"
    settled.world.flip_errors = ["no space left"] * 9
    settled.server.offer("1.3.0", "urgent")
    settled.until(settled.told("failed", "1.3.0"))
    assert settled.world.active() == settled.world.running == "1.0.0"


def test_after_a_day_of_use_ten_quiet_minutes_are_enough_for_an_urgent_release(settled: Device) -> None:
    """Pressed every few minutes, through the night too."""
    settled.press()
    granted = settled.clock.monotonic
    settled.server.offer("1.1.0", "urgent")
    while settled.clock.monotonic - granted < 24 * 3600 + 60:
        settled.press()
        settled.run_for(240)
        assert settled.world.running == "1.0.0"
    settled.run_for(900)
    assert settled.world.running == "1.1.0"


def test_a_grant_that_was_paused_and_given_again_is_counted_anew(settled: Device) -> None:
    settled.server.offer("1.1.0", "urgent")
    settled.press()
    settled.until(settled.told("deferred", "1.1.0"))
    assert settled.daemon is not None
    before = settled.daemon.ledger.memory.granted
    settled.run_for(1200)
    assert settled.daemon.ledger.memory.granted == before, "no write for what can be counted"
    settled.press()
    settled.server.offer("1.1.0", "urgent")
    settled.run_for(600)
    after = settled.daemon.ledger.memory.granted
    assert before is not None
    assert after is not None
    assert after.mark.monotonic > before.mark.monotonic
    assert after.seconds < 400
