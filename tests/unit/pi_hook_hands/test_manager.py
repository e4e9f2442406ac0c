"""An assistant that an account's own systemd runs, over stand-ins for systemd's programs."""

from __future__ import annotations

import os
import pwd
import select
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pi_hook import manager, outside
from pi_hook.ports import ReleaseCommand, ServiceError
from pi_hook.service import AssistantService
from pkgbuild import payload, running

from .conftest import NAME
from .test_service import shows

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Programs, SmallRoot

ME = pwd.getpwuid(os.geteuid())


def user_unit(small: SmallRoot, account: str = ME.pw_name) -> None:
    """As the builder writes it."""
    service = payload.Service(module="m", unit="user", account=account)
    file = payload.ReleaseFile(
        name=NAME,
        summary="x",
        maintainer="A <a@b.example>",
        payload=payload.Application(kind="application"),
        service=service,
    )
    path = small.path / f"usr/lib/systemd/user/{NAME}.service"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(running.unit(file))


@pytest.fixture(autouse=True)
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, programs: Programs) -> None:
    """``systemd-run`` runs what it is given; what systemctl is asked shows who asked."""
    monkeypatch.setattr(outside, "_SYSTEMD", tmp_path)
    programs.put("systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')


def test_a_unit_of_the_system_is_nobodys(small: SmallRoot) -> None:
    assert manager.account_of(NAME, small.root) is None


def test_the_account_is_the_one_that_the_builder_wrote(small: SmallRoot) -> None:
    user_unit(small)
    account = manager.account_of(NAME, small.root)
    assert account == manager.Account(ME.pw_name, ME.pw_uid)
    assert account.environment["XDG_RUNTIME_DIR"] == f"/run/user/{ME.pw_uid}"


def test_an_account_that_is_not_there_is_named(small: SmallRoot) -> None:
    user_unit(small, "nobody-of-this-name")
    with pytest.raises(ServiceError, match="runs as the account nobody-of-this-name, which this device does not have"):
        manager.account_of(NAME, small.root)
    state = AssistantService(NAME, small.root).state()
    assert (state.active, state.failed) == (False, False)
    assert "nobody-of-this-name" in state.words


@pytest.mark.parametrize("text", ["", "[Unit]\nDescription=x\n", "no section\n", "[X-Pi-Ota]\nAccount\n"])
def test_a_unit_that_does_not_say_whose_it_is(small: SmallRoot, text: str) -> None:
    user_unit(small)
    (small.path / f"usr/lib/systemd/user/{NAME}.service").write_text(text)
    with pytest.raises(ServiceError, match="does not say under"):
        manager.account_of(NAME, small.root)


def test_its_state_is_asked_of_the_accounts_systemd(small: SmallRoot, programs: Programs) -> None:
    user_unit(small)
    programs.put("systemctl", shows("active", "running", pid=42, restarts=2).replace("case $1", "case $2"))
    environ = small.path / "proc/42/environ"
    environ.parent.mkdir(parents=True)
    environ.write_bytes(b"PI_OTA_RELEASE=1.1.0\0")
    state = AssistantService(NAME, small.root).state()
    assert (state.active, state.restarts, state.release) == (True, 2, "1.1.0")
    asked = programs.calls[0]
    assert asked.startswith("systemd-run ")
    assert f"--property=User={ME.pw_name}" in asked
    assert f"--setenv=XDG_RUNTIME_DIR=/run/user/{ME.pw_uid}" in asked
    assert programs.calls[1].startswith("systemctl --user show ")


def test_a_restart_has_its_systemd_up_and_leaves_no_unit_of_the_system(small: SmallRoot, programs: Programs) -> None:
    user_unit(small)
    programs.put("systemctl", shows("active", "running").replace("case $1", "case $2"))
    AssistantService(NAME, small.root).restart()
    asked = [call for call in programs.calls if call.startswith("systemctl") and "show" not in call]
    assert asked == [
        f"systemctl stop {NAME}.service",
        f"systemctl start user@{ME.pw_uid}.service",
        "systemctl --user daemon-reload",
        f"systemctl --user reset-failed {NAME}.service",
        f"systemctl --user restart {NAME}.service",
    ]


def test_a_systemd_of_the_account_that_is_not_up_is_no_success(small: SmallRoot, programs: Programs) -> None:
    user_unit(small)
    programs.put("systemctl", '[ "$1" = --user ] && echo Failed to connect to bus && exit 1; exit 0')
    with pytest.raises(ServiceError, match="Failed to connect to bus"):
        AssistantService(NAME, small.root).restart()


def test_a_systemd_of_the_account_that_does_not_answer_in_time(small: SmallRoot, programs: Programs) -> None:
    user_unit(small)
    programs.put("systemctl", "exec sleep 100")
    account = manager.account_of(NAME, small.root)
    programs.put("systemd-run", "exit 1")
    with pytest.raises(ServiceError, match="took longer than 0 s"):
        manager.systemctl(account, "show", seconds=0)


def test_commands_of_a_release_find_the_sound_server(small: SmallRoot, programs: Programs) -> None:
    user_unit(small)
    folder = small.release("1.0.0", "0123456789ab", health={"command": ["./check"]}, environment={"A": "b"})
    (folder / "check").write_text("#!/bin/sh\n")
    (folder / "check").chmod(0o755)
    command = AssistantService(NAME, small.root).begin(ReleaseCommand.HEALTH, "1.0.0")
    assert command is not None
    while (result := command.result()) is None:
        assert select.select([command.fileno()], [], [], 30)[0]
    command.close()
    assert result.problem is None
    (asked,) = [call for call in programs.calls if call.startswith("systemd-run")]
    assert f"--property=User={ME.pw_name}" in asked
    assert f"--setenv=XDG_RUNTIME_DIR=/run/user/{ME.pw_uid}" in asked
    assert "--setenv=A=b" in asked
    assert "--property=Group=" not in asked


def test_the_journal_is_that_of_the_accounts_unit(small: SmallRoot, programs: Programs) -> None:
    user_unit(small)
    programs.put("journalctl", "echo a line")
    tail = AssistantService(NAME, small.root).journal_tail(datetime(2026, 11, 23, tzinfo=UTC))
    assert tail == "a line\n"
    assert f"_SYSTEMD_USER_UNIT={NAME}.service _UID={ME.pw_uid} + USER_UNIT={NAME}.service" in programs.calls[-1]
    user_unit(small, "nobody-of-this-name")
    tail = AssistantService(NAME, small.root).journal_tail(datetime(2026, 11, 23, tzinfo=UTC))
    assert "which this device does not have" in tail
