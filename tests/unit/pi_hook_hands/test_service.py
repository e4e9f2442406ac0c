"""The real ``AssistantService`` over stand-ins for systemd's programs; the real ones are used in the virtual Pi."""

from __future__ import annotations

import select
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pi_hook import outside
from pi_hook.apt_source import AUTH
from pi_hook.ports import CommandResult, ReleaseCommand, ServiceError
from pi_hook.service import AssistantService

from .conftest import NAME

if TYPE_CHECKING:
    from .conftest import Programs, SmallRoot

SINCE = datetime(2026, 11, 23, 12, tzinfo=UTC)


def shows(
    active: str, sub: str, result: str = "success", *, pid: int = 0, restarts: int = 0, load: str = "loaded"
) -> str:
    lines = [
        f"LoadState={load}",
        f"ActiveState={active}",
        f"SubState={sub}",
        f"Result={result}",
        f"NRestarts={restarts}",
    ]
    lines += [f"MainPID={pid}", "User=", "Group="]
    return "case $1 in show) cat <<X\n" + "\n".join(lines) + "\nX\n;; esac"


@pytest.fixture
def no_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(outside, "_SYSTEMD", tmp_path / "absent")


def test_a_running_unit_with_the_release_of_its_process(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running", pid=42, restarts=3))
    environ = small.path / "proc/42/environ"
    environ.parent.mkdir(parents=True)
    environ.write_bytes(b"A=1\0PI_OTA_RELEASE=1.1.0\0PI_OTA_RELEASE_DIR=/x\0")
    state = AssistantService(NAME, small.root).state()
    assert (state.active, state.failed, state.restarts, state.main_pid, state.release) == (True, False, 3, 42, "1.1.0")
    assert state.words == "active (running)"


def test_a_process_that_has_just_ended_has_no_release(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running", pid=4242))
    assert AssistantService(NAME, small.root).state().release is None


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (("failed", "failed", "exit-code"), (False, True, "failed (failed) (Result: exit-code)")),
        (("activating", "auto-restart", "signal"), (False, False, "activating (auto-restart) (Result: signal)")),
        (("active", "exited", "success"), (False, False, "active (exited)")),
    ],
)
def test_other_states(
    small: SmallRoot, programs: Programs, shown: tuple[str, str, str], state: tuple[bool, bool, str]
) -> None:
    programs.put("systemctl", shows(*shown))
    seen = AssistantService(NAME, small.root).state()
    assert (seen.active, seen.failed, seen.words) == state


def test_a_unit_that_is_not_there(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("inactive", "dead", load="not-found"))
    assert AssistantService(NAME, small.root).state().words == "unit is not-found"


def test_a_systemd_that_does_not_answer_is_neither_active_nor_failed(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", "echo Failed to connect to bus >&2; exit 1")
    state = AssistantService(NAME, small.root).state()
    assert (state.active, state.failed) == (False, False)
    assert "Failed to connect to bus" in state.words


def test_restart_resets_the_start_limit_first(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    AssistantService(NAME, small.root).restart()
    assert programs.calls[1:] == [f"systemctl reset-failed {NAME}.service", f"systemctl restart {NAME}.service"]


@pytest.mark.parametrize("shown", [("activating", "auto-restart"), ("failed", "failed"), ("deactivating", "stop")])
def test_a_crash_loop_is_ended_before_the_counter_is_reset(
    small: SmallRoot, programs: Programs, shown: tuple[str, str]
) -> None:
    programs.put("systemctl", shows(*shown))
    AssistantService(NAME, small.root).restart()
    verbs = [call.split()[1] for call in programs.calls]
    assert verbs == ["show", "stop", "reset-failed", "restart"]


def test_a_crash_at_start_is_no_refusal(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("failed", "failed", "exit-code") + "\n[ $1 = restart ] && exit 1; exit 0")
    AssistantService(NAME, small.root).restart()


def test_a_refusal_is_an_error_with_systemds_words(small: SmallRoot, programs: Programs) -> None:
    programs.put(
        "systemctl",
        shows("inactive", "dead", load="masked") + "\n[ $1 = restart ] && echo Unit is masked. >&2 && exit 1; exit 0",
    )
    with pytest.raises(ServiceError, match=r"Unit is masked\."):
        AssistantService(NAME, small.root).restart()


def released(small: SmallRoot, script: str = "exit 0", **record: object) -> AssistantService:
    """1.0.0 with a program ``check``."""
    folder = small.release("1.0.0", "0123456789ab", environment={"GREETING": "hello"}, **record)
    (folder / "check").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "check").chmod(0o755)
    return AssistantService(NAME, small.root)


def result(service: AssistantService, command: ReleaseCommand = ReleaseCommand.HEALTH) -> CommandResult | None:
    """Start a command and wait for its end as the loop does."""
    running = service.begin(command, "1.0.0")
    if running is None:
        return None
    try:
        while (result := running.result()) is None:
            assert select.select([running.fileno()], [], [], 30)[0]
        return result
    finally:
        running.close()


def problem(service: AssistantService) -> str | None:
    found = result(service)
    assert found is not None
    return found.problem


IN_PLACE = (
    '[ "$GREETING" = hello ] && [ "$PI_OTA_RELEASE" = 1.0.0 ] && [ "$PWD" = "$PI_OTA_RELEASE_DIR" ] && [ -x run ]'
    ' && [ "$STATE_DIRECTORY" = /var/lib/sample-assistant/state ]'
)


@pytest.mark.usefixtures("no_systemd")
def test_health_runs_in_the_release_with_its_environment(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    assert problem(released(small, IN_PLACE, health={"command": ["./check"], "timeout_seconds": 10})) is None


@pytest.mark.usefixtures("no_systemd")
@pytest.mark.parametrize("hook", [ReleaseCommand.BEFORE_ACTIVATION, ReleaseCommand.AFTER_ROLLBACK])
def test_a_hook_runs_as_the_health_command_does(small: SmallRoot, programs: Programs, hook: ReleaseCommand) -> None:
    programs.put("systemctl", shows("active", "running"))
    hooks = {str(hook): ["./check"], "timeout_seconds": 5}
    assert result(released(small, f"{IN_PLACE} && echo migrated", hooks=hooks), hook) == CommandResult(
        None, "migrated\n"
    )
    other = next(other for other in ReleaseCommand if other not in {hook, ReleaseCommand.HEALTH})
    assert AssistantService(NAME, small.root).begin(other, "1.0.0") is None


@pytest.mark.usefixtures("no_systemd")
def test_a_hook_that_fails_is_told_with_all_it_said_without_secrets(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    said = released(small, "echo one; echo token=SECRETSECRET; exit 3", hooks={"before_activation": ["./check"]})
    found = result(said, ReleaseCommand.BEFORE_ACTIVATION)
    assert found is not None
    assert found.problem == "the hook before_activation ended with 3: one token=[removed]"
    assert found.output == "one\ntoken=[removed]\n"


@pytest.mark.usefixtures("no_systemd")
def test_a_command_that_says_a_lot_does_not_hang_and_its_end_is_kept(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    said = released(small, "seq 1 200000; exit 1", hooks={"before_activation": ["./check"], "timeout_seconds": 30})
    found = result(said, ReleaseCommand.BEFORE_ACTIVATION)
    assert found is not None
    assert found.output.endswith("199999\n200000\n")
    assert len(found.output) <= 16_384


@pytest.mark.usefixtures("no_systemd")
def test_a_command_at_work_is_asked_without_waiting_and_ended_when_let_go(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = released(small, "sleep 1000 & echo $! > pid; wait", health={"command": ["./check"]})
    running = service.begin(ReleaseCommand.HEALTH, "1.0.0")
    assert running is not None
    pid_file = small.path / f"usr/lib/{NAME}/releases/1.0.0/pid"
    while not pid_file.exists() or not pid_file.read_text():
        assert running.result() is None
    running.close()
    child = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        select.select([], [], [], 0.01)


@pytest.mark.usefixtures("no_systemd")
def test_an_unhealthy_release_says_why_without_secrets(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = released(small, "echo no voice, token=SECRETSECRET; exit 3", health={"command": ["./check"]})
    assert problem(service) == "the health command ended with 3: no voice, token=[removed]"


@pytest.mark.usefixtures("no_systemd")
def test_a_health_command_that_hangs_is_ended_with_all_its_children(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    health = {"command": ["./check"], "timeout_seconds": 0.5}
    service = released(small, "sleep 1000 & sleep 1000", health=health)
    assert problem(service) == "the health command did not answer within 0.5 s"


@pytest.mark.usefixtures("no_systemd")
def test_python_means_the_launchers_own(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = released(small, health={"command": ["python", "-m", "check"]})
    run = small.path / f"usr/lib/{NAME}/releases/1.0.0/run"
    run.write_text('#!/bin/sh\n[ "$*" = "--python -m check" ]\n')
    assert problem(service) is None


def test_a_release_without_commands_is_content(small: SmallRoot) -> None:
    service = released(small, health=None)
    assert [service.begin(command, "1.0.0") for command in ReleaseCommand] == [None, None, None]


@pytest.mark.parametrize(
    "health", [[], {"command": []}, {"command": 3}, {}, {"command": ["./check"], "timeout_seconds": None}]
)
def test_an_unusable_health_entry_is_not_healthy(small: SmallRoot, health: object) -> None:
    with pytest.raises(ServiceError, match="health command"):
        released(small, health=health).begin(ReleaseCommand.HEALTH, "1.0.0")


@pytest.mark.parametrize("hooks", [[], 3, {"before_activation": []}, {"before_activation": "x", "timeout_seconds": []}])
def test_unusable_hooks_are_no_success(small: SmallRoot, hooks: object) -> None:
    with pytest.raises(ServiceError, match="hook before_activation in an unusable form"):
        released(small, hooks=hooks).begin(ReleaseCommand.BEFORE_ACTIVATION, "1.0.0")


def test_a_release_that_is_not_there_is_not_healthy(small: SmallRoot) -> None:
    with pytest.raises(ServiceError, match="cannot be read"):
        AssistantService(NAME, small.root).begin(ReleaseCommand.HEALTH, "1.0.0")


def test_under_systemd_health_runs_in_a_unit_of_its_own_as_the_services_user(
    small: SmallRoot, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outside, "_SYSTEMD", tmp_path)
    programs.put("systemctl", shows("active", "running").replace("User=", "User=kitchen"))
    programs.put("systemd-run", "exit 0")
    assert problem(released(small, health={"command": ["./check"], "timeout_seconds": 7})) is None
    call = programs.calls[-1]
    assert "--wait --pipe --collect --property=RuntimeMaxSec=7 --property=KillMode=control-group" in call
    assert "--property=User=kitchen" in call
    assert "--setenv=PI_OTA_RELEASE=1.0.0" in call
    assert "--unit" not in call
    assert call.endswith(f"-- {small.path}/usr/lib/{NAME}/releases/1.0.0/check")


def test_under_systemd_a_hook_of_an_earlier_run_is_ended_first(
    small: SmallRoot, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outside, "_SYSTEMD", tmp_path)
    programs.put("systemctl", shows("active", "running"))
    programs.put("systemd-run", "echo done; exit 4")
    found = result(released(small, hooks={"after_rollback": ["./check"]}), ReleaseCommand.AFTER_ROLLBACK)
    assert found == CommandResult("the hook after_rollback ended with 4: done", "done\n")
    assert programs.calls[-2] == "systemctl --quiet stop pi-hook-release-hook.service"
    assert "--unit=pi-hook-release-hook" in programs.calls[-1]
    assert "RuntimeMaxSec=60" in programs.calls[-1]


def test_stop_says_what_systemd_says(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", "")
    AssistantService(NAME, small.root).stop()
    assert programs.calls == [f"systemctl stop {NAME}.service"]
    programs.put("systemctl", "echo Connection timed out >&2; exit 1")
    with pytest.raises(ServiceError, match=r"did not stop sample-assistant\.service: Connection timed out"):
        AssistantService(NAME, small.root).stop()


def test_the_journals_tail_is_bounded_and_without_secrets(small: SmallRoot, programs: Programs) -> None:
    auth = small.root.at(AUTH)
    auth.parent.mkdir(parents=True)
    auth.write_text("machine x\nlogin id\npassword the-device-token\n")
    programs.put("journalctl", "echo first line; echo 'sent the-device-token and api_key=abc'; echo last")
    service = AssistantService(NAME, small.root)
    assert service.journal_tail(SINCE) == "first line\nsent [removed] and api_key=[removed]\nlast\n"
    assert service.journal_tail(SINCE, 8) == "last\n"
    assert f"--unit={NAME}.service --since=@1795435200.000000" in programs.calls[0]


def test_no_journal_is_a_sentence(small: SmallRoot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cannot be read" in AssistantService(NAME, small.root).journal_tail(SINCE)
