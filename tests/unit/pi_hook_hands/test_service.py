"""The real ``AssistantService`` over stand-ins for systemd's programs; the real ones are used in the virtual Pi."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pi_hook import outside
from pi_hook.apt_source import AUTH
from pi_hook.ports import ServiceError
from pi_hook.release_dir import ReleaseDir
from pi_hook.service import AssistantService

from .conftest import NAME

if TYPE_CHECKING:
    from pathlib import Path

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


def activated(small: SmallRoot, health: object, check: str = "") -> AssistantService:
    folder = small.release("1.0.0", health=health, environment={"GREETING": "hello"})
    (folder / "check").write_text(f"#!/bin/sh\n{check}\n")
    (folder / "check").chmod(0o755)
    ReleaseDir(NAME, small.root).activate("1.0.0")
    return AssistantService(NAME, small.root)


@pytest.mark.usefixtures("no_systemd")
def test_health_runs_in_the_release_with_its_environment(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = activated(
        small,
        {"command": ["./check"], "timeout_seconds": 10},
        '[ "$GREETING" = hello ] && [ "$PI_OTA_RELEASE" = 1.0.0 ] && [ "$PWD" = "$PI_OTA_RELEASE_DIR" ] && [ -x run ]',
    )
    assert service.health() is None


@pytest.mark.usefixtures("no_systemd")
def test_an_unhealthy_release_says_why_without_secrets(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = activated(small, {"command": ["./check"]}, "echo no voice, token=SECRETSECRET; exit 3")
    assert service.health() == "the health command ended with 3: no voice, token=[removed]"


@pytest.mark.usefixtures("no_systemd")
def test_a_health_command_that_hangs_is_ended_with_all_its_children(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = activated(small, {"command": ["./check"], "timeout_seconds": 0.5}, "sleep 1000 & sleep 1000")
    assert service.health() == "the health command did not answer within 0.5 s"


@pytest.mark.usefixtures("no_systemd")
def test_python_means_the_launchers_own(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", shows("active", "running"))
    service = activated(small, {"command": ["python", "-m", "check"]})
    run = small.path / f"usr/lib/{NAME}/releases/1.0.0/run"
    run.write_text('#!/bin/sh\n[ "$*" = "--python -m check" ]\n')
    assert service.health() is None


def test_no_health_command_is_healthy(small: SmallRoot) -> None:
    assert activated(small, None).health() is None


@pytest.mark.parametrize(
    "health", [[], {"command": []}, {"command": 3}, {}, {"command": ["./check"], "timeout_seconds": None}]
)
def test_an_unusable_health_entry_is_not_healthy(small: SmallRoot, health: object) -> None:
    said = activated(small, health).health()
    assert said is not None
    assert "health command" in said


def test_without_a_complete_release_nothing_is_healthy(small: SmallRoot) -> None:
    assert AssistantService(NAME, small.root).health() == "no complete release is active"


def test_under_systemd_health_runs_in_a_unit_of_its_own_as_the_services_user(
    small: SmallRoot, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outside, "_SYSTEMD", tmp_path)
    programs.put("systemctl", shows("active", "running").replace("User=", "User=kitchen"))
    programs.put("systemd-run", "exit 0")
    assert activated(small, {"command": ["./check"], "timeout_seconds": 7}).health() is None
    call = programs.calls[-1]
    assert "--wait --pipe --collect --property=RuntimeMaxSec=7 --property=KillMode=control-group" in call
    assert "--property=User=kitchen" in call
    assert "--setenv=PI_OTA_RELEASE=1.0.0" in call
    assert call.endswith(f"-- {small.path}/usr/lib/{NAME}/releases/1.0.0/check")


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
