"""Keys, tokens and the audit log from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from repo_server import enrollment, wire
from repo_server.cli import main
from repo_server.cli.session import WHO
from repo_server.db import Database
from repo_server.errors import ConflictError
from repo_server.store import credentials
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, registration


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def good(*arguments: object) -> Any:
    """What a command prints as JSON."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def device(state: Path, preset: Preset | None = None, **given: Any) -> str:
    """Register a device with the server's database itself."""
    db, now = Database(state / "repo_server.db"), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    try:
        tables = db.tables()
        token = db.write(
            lambda _: credentials.create_enrollment_token(
                tables, "t", "test", now, uses_allowed=None, expires_at=None, preset=preset
            )
        )
        enrollment.register(db, token, wire.Registration.model_validate(registration(**given)), now)
    except ConflictError:
        pass
    finally:
        db.close()
    return DEVICE


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    assert run("init", "--state", folder).exit_code == 0
    return folder


def test_keys_are_listed_and_revoked_also_the_last_admin(state: Path) -> None:
    made = good("api-key", "create", "--state", state, "--role", "viewer", "--name", "lobby", "--expires", "90d")
    assert made["expires_at"].endswith("Z")
    listed = {item["name"]: item for item in good("api-key", "list", "--state", state)}
    assert set(listed) == {"first admin", "lobby"}
    assert listed["lobby"]["expires_at"] == made["expires_at"]
    assert made["api_key"] not in run("api-key", "list", "--state", state).output
    for item in listed.values():
        assert run("api-key", "revoke", "--state", state, item["id"]).exit_code == 0
    assert all(item["revoked_at"] for item in good("api-key", "list", "--state", state))


def test_tokens_are_made_with_presets_listed_and_revoked(state: Path) -> None:
    presets = ("--group", "attic", "--channel", "beta", "--approval", "--uses", 2)
    made = good("enroll-token", "create", "--state", state, "--name", "attic", *presets)
    assert (made["group"], made["channel"], made["approval"]) == ("attic", "beta", True)
    listed = {item["name"]: item for item in good("enroll-token", "list", "--state", state)}
    attic = listed["attic"]
    assert (attic["group"], attic["channel"], attic["approval"], attic["uses_allowed"]) == ("attic", "beta", True, 2)
    assert run("enroll-token", "revoke", "--state", state, attic["id"]).exit_code == 0
    again = {item["name"]: item["revoked_at"] for item in good("enroll-token", "list", "--state", state)}
    assert again["first"] is None
    assert again["attic"] is not None


def test_a_recovery_is_opened_and_listed(state: Path) -> None:
    made = good("enroll-token", "recover", "--state", state, "--uses", 5, "--expires", "7d")
    assert set(made) == {"id", "name", "uses_allowed", "expires_at"}
    listed = {item["id"]: item for item in good("enroll-token", "list", "--state", state)}
    assert listed[made["id"]]["recovery"] is True
    result = run("enroll-token", "recover", "--state", state, "--uses", 5, "--expires", "31d")
    assert (result.exit_code, "at most 30 days" in result.output) == (1, True)


def test_what_the_command_line_does_is_in_the_audit_log_with_its_user(state: Path) -> None:
    key = good("api-key", "create", "--state", state, "--role", "viewer", "--name", "lobby")
    (made,) = [item for item in good("api-key", "list", "--state", state) if item["name"] == "lobby"]
    run("api-key", "revoke", "--state", state, made["id"])
    found = good("audit", "--state", state, "--subject", made["id"], "--who", WHO, "--last", "1h")
    assert [entry["action"] for entry in found] == ["api_key.revoke", "api_key.create"]
    assert found[0]["detail"]["before"]["role"] == "viewer"
    assert WHO.startswith("cli:")
    table = run("audit", "--state", state, "--action", "api_key.create").output
    assert len(table.splitlines()) == 3
    assert key["api_key"] not in table


@pytest.mark.parametrize("command", ["api-key", "enroll-token"])
def test_nothing_is_revoked_that_is_not_there(state: Path, command: str) -> None:
    result = run(command, "revoke", "--state", state, "0195e0c8-0000-7000-8000-00000000000f")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith("Error: there is no such")


@pytest.mark.parametrize("given", [("--group", "Ground Floor"), ("--channel", ""), ("--channel", "x" * 65)])
def test_a_group_or_channel_that_is_no_name_is_a_usage_error(state: Path, given: tuple[str, str]) -> None:
    assert run("enroll-token", "create", "--state", state, *given).exit_code == 2


def test_devices_are_let_in_held_and_retired(state: Path) -> None:
    one = device(state, Preset(approval=True))
    assert good("devices", "list", "--state", state) == []
    assert [item["id"] for item in good("devices", "list", "--state", state, "--waiting")] == [one]
    assert [item["id"] for item in good("devices", "list", "--state", state, "--only", "pending")] == [one]
    for command in (["approve"], ["hold", "--why", "guests"], ["rotate-token"]):
        assert run("devices", *command, "--state", state, one).exit_code == 0
    shown = good("devices", "show", "--state", state, one)
    assert (shown["state"], shown["hold"], shown["rotation"]) == ("active", "guests", "requested")
    assert [item["id"] for item in good("devices", "--state", state)] == [one]
    for command in (["hold", "--end"], ["decommission"]):
        assert run("devices", *command, "--state", state, one).exit_code == 0
    shown = good("devices", "show", "--state", state, one)
    assert (shown["state"], shown["hold"]) == ("decommissioned", None)
    actions = [(entry["who"], entry["action"]) for entry in good("audit", "--state", state, "--subject", one)]
    assert actions == [
        (WHO, "device.decommission"),
        (WHO, "device.change"),
        (WHO, "device.ask_rotation"),
        (WHO, "device.change"),
        (WHO, "device.approve"),
        ("enrollment_token:t", "device.register"),
    ]


def test_only_the_token_that_was_seen_is_approved(state: Path) -> None:
    one = device(state)
    device(state, token="new")
    (waiting,) = good("devices", "list", "--state", state, "--waiting")
    result = run("devices", "approve", "--state", state, "--fingerprint", "0" * 16, one)
    assert (result.exit_code, result.output.startswith("Error: this is not the token that waits")) == (1, True)
    seen = waiting["reenrollment"]["fingerprint"]
    assert run("devices", "approve", "--state", state, "--fingerprint", seen, one).exit_code == 0
    assert good("devices", "list", "--state", state, "--waiting") == []


@pytest.mark.parametrize(
    "arguments",
    [["hold", "x"], ["hold", "--why", "a", "--end", "x"], ["hold", "--why", "a\nb", "x"], ["list", "--only", "x"]],
)
def test_wrong_words_about_devices_are_usage_errors(state: Path, arguments: list[str]) -> None:
    assert run("devices", *arguments, "--state", state).exit_code == 2


@pytest.mark.parametrize(
    "command", [["show"], ["export"], ["erase"], ["approve"], ["rotate-token"], ["decommission"], ["hold", "--end"]]
)
def test_a_device_that_is_not_there_is_said_in_a_sentence(state: Path, command: list[str]) -> None:
    result = run("devices", *command, "--state", state, "nobody")
    assert (result.exit_code, result.output) == (1, "Error: there is no such device\n")


def test_a_home_is_given_out_and_erased(state: Path) -> None:
    one = device(state)
    given = json.loads(run("devices", "export", "--state", state, one).stdout)
    assert given["device"]["hostname"] == "kitchen"
    assert run("devices", "erase", "--state", state, one).exit_code == 0
    assert good("devices", "show", "--state", state, one)["state"] == "active"
    assert run("devices", "decommission", "--erase", "--state", state, one).exit_code == 0
    assert json.loads(run("devices", "export", "--state", state, one).stdout)["device"]["hostname"] == "erased"
    erased = good("audit", "--state", state, "--action", "device.erase")
    assert [entry["who"] for entry in erased] == [WHO, WHO]
