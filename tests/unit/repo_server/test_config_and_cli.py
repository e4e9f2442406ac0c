"""Settings, and the commands as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from repo_server import config
from repo_server.cli import main
from repo_server.db import Database
from repo_server.errors import ConfigError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(config.ENVIRONMENT + name.upper(), raising=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    assert run("init", "--state", folder).exit_code == 0
    return folder


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "repo-server.toml"
    file.write_text('state_dir = "/srv/state"\nport = 1\nthreads = 2\nheartbeat_seconds = 3\n')
    environ = {"REPO_SERVER_CONFIG": str(file), "REPO_SERVER_PORT": "11", "REPO_SERVER_THREADS": "12"}
    settings = config.load({"port": 21, "host": None}, environ)
    assert (settings.state_dir, settings.port, settings.threads) == (Path("/srv/state"), 21, 12)
    assert (settings.heartbeat_seconds, settings.host) == (3, "0.0.0.0")
    assert settings.repository == Path("/srv/state/public")


def test_settings_pass_through_the_environment_unchanged(tmp_path: Path) -> None:
    settings = config.load({"state_dir": tmp_path, "repository_dir": "/srv/public", "port": 0}, {})
    assert config.load({}, settings.environment()) == settings
    settings = settings.model_copy(update={"trusted_proxies": ("unix", "10.0.0.0/8"), "accel_prefix": "/_repo/"})
    assert config.load({}, settings.environment()) == settings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour = 1", "unknown setting 'colour'"),
        ("port = 99999", "setting port"),
        ("port = ", "is not TOML"),
        ('trusted_proxies = ["everyone"]', "setting trusted_proxies: 'everyone' does not appear"),
        ('accel_prefix = "_repo"', "setting accel_prefix"),
        ("", "no state folder: give --state DIR"),
        (None, "cannot read the settings file"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "repo-server.toml"
    if text is not None:
        file.write_text(text)
    given = {} if text == "" else {"state_dir": tmp_path}
    with pytest.raises(ConfigError, match=sentence):
        config.load(given, {}, file)
    result = run("devices", "--config", file, *(["--state", tmp_path] if given else []))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith("Error: ")


def test_init_shows_the_first_secrets_once_and_writes_them_on_request(tmp_path: Path) -> None:
    result = run("init", "--state", tmp_path / "state", "--json", "--write-keys", tmp_path / "keys")
    made = json.loads(result.stdout)
    assert set(made) == {"admin_key", "enrollment_token", "database"}
    for name in ("admin_key", "enrollment_token"):
        assert (tmp_path / "keys" / name).read_text() == made[name] + "\n"
        assert (tmp_path / "keys" / name).stat().st_mode & 0o777 == 0o600
    again = run("init", "--state", tmp_path / "state")
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_init_without_a_token_that_never_ends(tmp_path: Path) -> None:
    made = json.loads(run("init", "--state", tmp_path / "state", "--json", "--without-token").stdout)
    assert set(made) == {"admin_key", "database"}
    assert json.loads(run("enroll-token", "list", "--state", tmp_path / "state", "--json").stdout) == []


def test_keys_are_never_written_over_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "admin_key").write_text("mine")
    result = run("init", "--state", tmp_path / "state", "--write-keys", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path / "admin_key") in result.output
    assert (tmp_path / "admin_key").read_text() == "mine"


@pytest.mark.parametrize("role", ["viewer", "operator", "builder", "admin"])
def test_an_api_key_has_its_role_and_is_audited(state: Path, role: str) -> None:
    made = json.loads(run("api-key", "create", "--state", state, "--role", role, "--name", "me", "--json").stdout)
    assert made == {"api_key": made["api_key"], "name": "me", "role": role, "expires_at": None}
    db = Database(state / "repo_server.db")
    try:
        kept = db.connection().execute("SELECT name, role FROM api_keys WHERE name = 'me'").fetchall()
        assert [tuple(row) for row in kept] == [("me", role)]
        assert made["api_key"] not in "\n".join(db.connection().iterdump())
        actions = [row[0] for row in db.connection().execute("SELECT action FROM audit_log ORDER BY id")]
        assert actions == ["api_key.create", "enrollment_token.create", "api_key.create"]
    finally:
        db.close()


def test_an_enrollment_token_with_limits(state: Path) -> None:
    result = run("enroll-token", "create", "--state", state, "--uses", 3, "--expires", "12h", "--json")
    made = json.loads(result.stdout)
    assert made["uses"] == 3
    assert made["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    "arguments",
    [
        ["enroll-token", "create", "--expires", "soon"], ["enroll-token", "create", "--uses", "0"],
        ["api-key", "create", "--role", "god", "--name", "x"], ["api-key", "create", "--role", "admin"],
    ],
)  # fmt: skip
def test_wrong_arguments_are_usage_errors(state: Path, arguments: list[str]) -> None:
    assert run(*arguments, "--state", state).exit_code == 2


@pytest.mark.parametrize("command", ["devices", "updates"])
def test_lists_for_people_and_programs(state: Path, command: str) -> None:
    assert run(command, "--state", state, "--json").stdout == "[]\n"
    assert run(command, "--state", state).stdout.split()[0] == "id"


@pytest.mark.parametrize(
    "command", [["devices"], ["updates"], ["serve"], ["api-key", "create", "--role", "admin", "--name", "x"]]
)
def test_a_newer_database_is_refused_with_a_sentence(state: Path, command: list[str]) -> None:
    db = Database(state / "repo_server.db")
    step = {"migration_set": "repo_server", "name": "0999", "applied_at": "x"}
    db.write(lambda _: db.tables().table("_sqlite_migrations").insert(step))
    db.close()
    result = run(*command, "--state", state)
    assert result.exit_code == 1
    assert result.output.startswith("Error: the database was written by a newer repo-server")


@pytest.mark.parametrize("command", [["devices"], ["serve"], ["enroll-token", "create"]])
def test_a_mistyped_state_folder_is_not_made(tmp_path: Path, command: list[str]) -> None:
    result = run(*command, "--state", tmp_path / "typo")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "repo-server init" in result.output
    assert not (tmp_path / "typo").exists()


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "repo_server.db").write_text("not a database" * 100)
    result = run("devices", "--state", tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "is damaged" in result.output
