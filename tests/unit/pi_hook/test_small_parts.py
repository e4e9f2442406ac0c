"""The small parts: soak, clocks, zone, backoff, enrollment's files, systemd's socket, the loop."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.backoff import Backoff, jittered
from pi_hook.clock import Timekeeper, boot_id
from pi_hook.enroll import consume_boot_file, forget_enrollment_token
from pi_hook.errors import SettingsError
from pi_hook.hostinfo import read_host
from pi_hook.loop import Loop
from pi_hook.notify import notify, watchdog_seconds
from pi_hook.ports import ServiceState
from pi_hook.soak import Soak, look
from pi_hook.zone import device_zone
from tests.support.pi_hook_fakes import FakeClock

WELL = ServiceState(active=True, failed=False, restarts=0, main_pid=7, release="1.1.0", words="active (running)")
SOAK = Soak("1.1.0", length=60, starting=30, began=100)


class TestSoak:
    def test_well_for_the_whole_soak_is_well(self) -> None:
        soak, now, looks = SOAK, 100.0, 0
        while True:
            found = look(soak, WELL, None, now)
            if found.over:
                break
            soak, now, looks = found.soak, now + found.again_in, looks + 1
        assert found.unwell is None
        assert now - 100 == pytest.approx(60)
        assert looks <= 8, "each look costs a health command"

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (replace(WELL, restarts=1), "systemd restarted it 1 times"),
            (replace(WELL, active=False, failed=True, words="failed (Result: exit-code)"), "exit-code"),
        ],
    )
    def test_a_crash_ends_it_at_once(self, state: ServiceState, words: str) -> None:
        found = look(SOAK, state, None, 100)
        assert found.over
        assert words in (found.unwell or "")

    @pytest.mark.parametrize(
        ("state", "health", "words"),
        [
            (replace(WELL, active=False, words="activating (start)"), None, "activating"),
            (replace(WELL, release="1.0.0"), None, "of release 1.0.0, not 1.1.0"),
            (replace(WELL, release=None), None, "of release unknown"),
            (WELL, "the check says no", "the check says no"),
        ],
    )
    def test_a_start_has_patience_and_then_no_more(self, state: ServiceState, health: str | None, words: str) -> None:
        assert not look(SOAK, state, health, 129.9).over
        late = look(SOAK, state, health, 130)
        assert late.over
        assert words in (late.unwell or "")
        after_good = look(replace(SOAK, good_since=101, pid=7), state, health, 102)
        assert after_good.over, "what was well and is not any more gets none"

    def test_what_rounding_leaves_of_it_is_no_reason_to_look_again(self) -> None:
        began, over = 100.01, 160.01
        assert 60.0 - (over - began) > 0, "by less than the clock can show"
        soak = Soak("1.1.0", 60.0, 30.0, began, good_since=began, pid=7)
        assert look(soak, WELL, None, over).over

    def test_a_person_s_restart_begins_the_soak_anew(self) -> None:
        soak = replace(SOAK, good_since=100, pid=7)
        assert look(soak, WELL, None, 160).over
        found = look(soak, replace(WELL, main_pid=8), None, 160)
        assert not found.over
        assert found.soak.good_since == 160
        starts = look(soak, replace(WELL, main_pid=8), "connection refused", 160)
        assert not starts.over, "it may take its time to start, as the first one might"
        assert look(starts.soak, replace(WELL, main_pid=8), "connection refused", 190).over


class TestTimekeeper:
    def test_without_any_proof_the_time_is_not_believed(self) -> None:
        assert not Timekeeper(FakeClock(synchronised=False)).read().synchronised

    def test_the_server_s_time_goes_on_with_the_monotonic_clock(self) -> None:
        clock = FakeClock(synchronised=False, wall=datetime(1970, 1, 1, tzinfo=UTC))
        keeper = Timekeeper(clock)
        told = datetime(2026, 3, 10, tzinfo=UTC)
        keeper.server_said(told)
        clock.advance(90)
        clock.wall += timedelta(days=5000)
        reading = keeper.read()
        assert (reading.wall, reading.synchronised) == (told + timedelta(seconds=90), True)
        assert keeper.not_before == told

    def test_a_synchronised_time_before_what_was_proven_is_not_believed(self) -> None:
        clock = FakeClock()
        keeper = Timekeeper(clock, not_before=clock.wall + timedelta(days=1))
        assert not keeper.read().synchronised
        keeper.proven(clock.wall - timedelta(days=1))
        assert keeper.not_before == clock.wall + timedelta(days=1)
        clock.advance(86_400)
        assert keeper.read().synchronised

    def test_boot_id_is_the_kernel_s(self, tmp_path: Path) -> None:
        (tmp_path / "id").write_text("abc\n")
        assert boot_id(tmp_path / "id") == "abc"


class TestZone:
    def zone(self, tmp_path: Path, setting: str | None = None, environment: str = "") -> tuple[str, str | None]:
        found = device_zone(setting, {"DEVICE_TIMEZONE": environment}, tmp_path / "localtime", tmp_path / "timezone")
        return found.name, found.problem

    def test_the_setting_wins_then_the_environment_then_the_system(self, tmp_path: Path) -> None:
        (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
        assert self.zone(tmp_path, "Europe/Berlin", "America/Lima") == ("Europe/Berlin", None)
        assert self.zone(tmp_path, None, "America/Lima") == ("America/Lima", None)
        assert self.zone(tmp_path) == ("Asia/Tokyo", None)

    def test_the_server_s_goes_before_all_and_one_that_this_system_does_not_know_is_passed_over(self) -> None:
        assert device_zone("Europe/Berlin", {}, servers="Asia/Tokyo").name == "Asia/Tokyo"
        for unknown in ("Mars/Olympus", "../../etc/passwd", "", "Europe", "x" * 5000, "a\0b"):
            found = device_zone("Europe/Berlin", {}, servers=unknown)
            assert found.name == "Europe/Berlin"
            if unknown:
                assert "the server names the timezone" in (found.problem or "")
                assert len(found.problem or "") < 300

    def test_a_file_without_a_name_falls_back_to_the_other_file(self, tmp_path: Path) -> None:
        (tmp_path / "localtime").write_bytes(b"TZif")
        (tmp_path / "timezone").write_text("Asia/Kathmandu\n")
        assert self.zone(tmp_path) == ("Asia/Kathmandu", None)

    @pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "Europe", "a\0b", "/etc/localtime"])
    def test_a_zone_that_is_none_is_said(self, tmp_path: Path, name: str) -> None:
        found, problem = self.zone(tmp_path, None, name)
        assert found == "Etc/UTC"
        assert "DEVICE_TIMEZONE names the timezone" in (problem or "")
        assert "`timedatectl list-timezones`" in (problem or "")

    def test_nothing_known_is_utc_and_said(self, tmp_path: Path) -> None:
        name, problem = self.zone(tmp_path)
        assert name == "Etc/UTC"
        assert "device.timezone" in (problem or "")


class TestBackoff:
    @given(failures=st.integers(1, 10_000), draw=st.floats(0, 1, exclude_max=True))
    def test_it_lies_between_a_second_and_the_ceiling(self, failures: int, draw: float) -> None:
        wait = Backoff(draw=lambda: draw).after(failures)
        assert 1 <= wait <= min(3600, 30 * 2 ** min(failures - 1, 20))

    def test_the_table_in_its_docstring(self) -> None:
        full = Backoff(draw=lambda: 1.0)
        assert [full.after(n) for n in range(1, 9)] == [30, 60, 120, 240, 480, 960, 1920, 3600]

    def test_retry_after_is_a_lower_bound(self) -> None:
        assert Backoff(draw=lambda: 0.0).after(1, retry_after=700) == 700

    def test_jitter_is_a_tenth(self) -> None:
        assert jittered(300, lambda: 0.0) == pytest.approx(270)
        assert jittered(300, lambda: 1.0) == pytest.approx(330)


class TestEnrollmentFiles:
    def test_the_file_on_the_card_is_taken_once(self, tmp_path: Path) -> None:
        boot, folder = tmp_path / "boot.toml", tmp_path / "pi-hook.d"
        text = '# from the card\n[enrollment]\ntoken = "t"\n'
        boot.write_text(text)
        assert consume_boot_file(boot, folder)
        assert not boot.exists()
        assert (folder / "boot.toml").read_text() == text
        assert stat.S_IMODE((folder / "boot.toml").stat().st_mode) == 0o600
        assert not consume_boot_file(boot, folder)

    @pytest.mark.parametrize("text", ["[enrolment]\ntoken = 't'\n", "[enrollment\n", "\x00"])
    def test_an_unusable_file_stays_on_the_card(self, tmp_path: Path, text: str) -> None:
        boot = tmp_path / "boot.toml"
        boot.write_text(text)
        with pytest.raises(SettingsError, match=r"boot\.toml"):
            consume_boot_file(boot, tmp_path / "pi-hook.d")
        assert boot.read_text() == text

    def test_the_used_token_goes_and_all_else_stays(self, tmp_path: Path) -> None:
        file, folder = tmp_path / "pi-hook.toml", tmp_path / "pi-hook.d"
        folder.mkdir()
        file.write_text(
            "# mine\n[server]\nurl = 'https://a.example' # here\n[ enrollment ]  # once\n  token = 'secret'\n"
        )
        (folder / "boot.toml").write_text("[enrollment]\ntoken='secret'\n[window]\nstart = '01:00'\n")
        forget_enrollment_token(file, folder)
        assert file.read_text() == "# mine\n[server]\nurl = 'https://a.example' # here\n[ enrollment ]  # once\n"
        assert (folder / "boot.toml").read_text() == "[enrollment]\n[window]\nstart = '01:00'\n"

    @pytest.mark.parametrize("text", ["enrollment = {token = 'x'}\n", "enrollment.token = 'x'\n"])
    def test_a_form_that_is_not_understood_is_left_and_said(
        self, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = tmp_path / "pi-hook.toml"
        file.write_text(text)
        with caplog.at_level(logging.WARNING):
            forget_enrollment_token(file, tmp_path / "none")
        assert file.read_text() == text
        assert "deleted by hand" in caplog.text


class TestSystemd:
    def test_lines_reach_the_socket(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(tmp_path / "notify"))
            notify("READY=1", "STATUS=ü", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
            assert systemd.recv(100) == "READY=1\nSTATUS=ü".encode()

    def test_nobody_listening_is_no_error(self, tmp_path: Path) -> None:
        notify("READY=1", environment={})
        notify("READY=1", environment={"NOTIFY_SOCKET": str(tmp_path / "none")})
        notify("READY=1", environment={"NOTIFY_SOCKET": "@pi-hook-test-none"})

    @pytest.mark.parametrize(("usec", "seconds"), [("180000000", 90.0), ("", None), ("0", None), ("x", None)])
    def test_the_watchdog_is_fed_at_half_its_time(self, usec: str, seconds: float | None) -> None:
        assert watchdog_seconds({"WATCHDOG_USEC": usec}) == seconds


class TestLoop:
    def test_timers_come_in_order_and_cancelled_ones_never(self) -> None:
        clock = FakeClock()
        loop, seen = Loop(lambda: clock.monotonic, clock.wait), []
        loop.after(2, lambda: seen.append("b"))
        loop.after(1, lambda: seen.append("a"))
        loop.after(1.5, lambda: seen.append("never")).cancel()
        loop.after(2, loop.stop)
        loop.run()
        assert seen == ["a", "b"]
        loop.close()

    def test_what_is_readable_comes_before_what_is_due(self) -> None:
        clock = FakeClock()
        loop, seen = Loop(lambda: clock.monotonic, clock.wait), []
        read, write = os.pipe()
        os.write(write, b".")
        loop.add_reader(read, lambda: seen.append(os.read(read, 1).decode()))
        loop.after(0, lambda: seen.append("timer"))
        loop.run_once()
        assert seen == [".", "timer"]
        loop.remove_reader(read)
        os.close(read)
        os.close(write)
        loop.close()

    def test_nothing_is_done_any_more_once_it_is_to_stop(self) -> None:
        clock = FakeClock()
        seen: list[str] = []

        def wait(selector: selectors.BaseSelector, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
            loop.stop()  # as the handler of a signal that comes meanwhile
            return selector.select(timeout)

        loop = Loop(lambda: clock.monotonic, wait)
        read, write = os.pipe()
        os.write(write, b".")
        loop.add_reader(read, lambda: seen.append("the end of a program that got the signal, too"))
        loop.after(0, lambda: seen.append("timer"))
        loop.run()
        assert seen == []
        loop.close()
        os.close(read)
        os.close(write)


def test_the_host_tells_its_debian_name(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('NAME="Debian"\nVERSION_CODENAME="trixie"\n')
    (tmp_path / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    host = read_host(tmp_path / "os-release", tmp_path / "model")
    assert (host.debian, host.model) == ("trixie", "Raspberry Pi 4 Model B Rev 1.4")
    assert host.architecture
    assert read_host(tmp_path / "os-release", tmp_path / "none").model is None
