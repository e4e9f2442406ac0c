"""`create_update.sh` and the `.env` files of a Supabase-style set-up: taken as what they mean, never carried out."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pi_hook import config as device_config
from pkgbuild import config
from pkgbuild.cli import main as pkgbuild
from pkgbuild.errors import PkgbuildError
from pkgbuild.habits import create_update, env_file, names
from pkgbuild.habits.create_update import UsageError, variables
from pkgbuild.habits.env_file import EnvFileError
from repo_server import config as server_config

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "examples" / "sample_assistant"
KEY = "pik_" + "k" * 43


def texts(text: str) -> dict[str, str]:
    return {name: value.text for name, value in env_file.parse(text).items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("export A=b\n", "b"),
        ("  A = b c  \n", "b c"),
        ("A=b # why\n", "b"),
        ("A=b#c\n", "b#c"),
        ("A='b # \" $c'\n", 'b # " $c'),
        ('A="b \\" \\\\ \\n c" # why\n', 'b " \\ \n c'),
        ('A="two\nlines"\n', "two\nlines"),
        ("A=\n", ""),
        ("\ufeffA=b\r\n", "b"),
        ("A=x\nA=b\n", "b"),
        ("A=You are helpful. Keep it short, don't explain.\n", "You are helpful. Keep it short, don't explain."),
    ],
)
def test_what_a_line_says(text: str, value: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    assert env_file.read(tmp_path / ".env")["A"].text == value


def test_comments_and_empty_lines_say_nothing() -> None:
    assert texts("# A=b\n\n   \n  # c\nB=d") == {"B": "d"}


@pytest.mark.parametrize("line", ["no sense", "A='open", 'A="open', "=b", "1A=b", "A='b'c"])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(EnvFileError, match=r"^\.env, line 2: write NAME=value"):
        env_file.parse(f"OK=1\n{line}\n")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match="cannot be read: No such file"):
        env_file.read(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"A=\xff")
    with pytest.raises(EnvFileError, match=r"is not UTF-8 text \(byte 2\)"):
        env_file.read(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b"#" * (env_file.MOST_BYTES + 1))
    with pytest.raises(EnvFileError, match=r"this is no \.env file"):
        env_file.read(tmp_path / "large")


def test_what_a_shell_would_carry_out_is_known() -> None:
    found = env_file.parse('A=$(id)\nB=`id`\nC="$HOME"\nD=\'$HOME\'\nE="\\$5"\nF=plain\n')
    assert [name for name, one in found.items() if one.would_be_carried_out] == ["A", "B", "C"]


@given(st.text(max_size=40).filter(lambda text: not {"'", "\r"} & set(text)))
def test_single_quotes_keep_everything(text: str) -> None:
    assert texts(f"A='{text}'\n") == {"A": text}


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(EnvFileError):
        assert all(value.line >= 1 for value in env_file.parse(text).values())


def test_the_arguments_are_those_of_make_release() -> None:
    environment = {"SRC": str(SAMPLE), "ENV_FILE": os.devnull}
    assert variables(["v1.0.0", "Initial release", "urgent"], environment) == (
        {"VERSION": "1.0.0", "NOTES": "Initial release", "URGENCY": "urgent", "SRC": str(SAMPLE)},
        [],
    )
    assert variables(["1.0.0", "x"], environment)[0]["URGENCY"] == "scheduled"
    assert variables(["V2.0", "x"], environment)[0]["VERSION"] == "2.0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["v1.0.0"], "a version and a description are needed"),
        (["version-1", "x"], "'version-1' is not a version: write v1.0.0 or 1.0.0"),
        (["v", "x"], "'v' is not a version"),
        (["v1", "  "], "the description is empty"),
        (["v1", "x", "now"], "'now' is not an urgency: write scheduled"),
        (["v1", "x", "instant"], "there is no instant update"),
        (["v1", "x", "urgent", "libopus0"], r"'libopus0' is one argument too many\. .* `depends` under \[payload\]"),
        (["v1", "two", "words"], "'words' is not an urgency"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        variables(arguments, {"SRC": str(SAMPLE)})


def test_a_folder_has_to_be_named_and_to_hold_a_release(tmp_path: Path) -> None:
    none = {"ENV_FILE": os.devnull}
    with pytest.raises(UsageError, match=r"SRC=path/to/it in the environment or in \.env"):
        variables(["v1", "x"], none)
    with pytest.raises(UsageError, match=r"has no release\.toml"):
        variables(["v1", "x"], none | {"SRC": str(tmp_path)})


def test_the_env_file_names_what_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assistant").mkdir()
    (tmp_path / "assistant" / "release.toml").touch()
    (tmp_path / ".env").write_text(f"SRC=assistant\nUPDATE_CHANNEL=beta\nSERVER_URL=https://s\nSERVER_API_KEY={KEY}\n")
    given, told = variables(["v1", "x"], {})
    assert given["SRC"] == str(tmp_path / "assistant")
    assert (given["CHANNEL"], given["PKGBUILD_SERVER_URL"], given["PKGBUILD_SERVER_API_KEY"]) == (
        "beta",
        "https://s",
        KEY,
    )
    assert told == []
    given, _ = variables(["v1", "x"], {"SRC": str(SAMPLE), "CHANNEL": "stable", "PKGBUILD_CONFIG": "p.toml"})
    assert (given["SRC"], given["CHANNEL"]) == (str(SAMPLE), "stable")  # what is exported counts first
    assert given["PKGBUILD_CONFIG"] == str(tmp_path / "p.toml")


def test_nothing_of_an_env_file_is_dropped_silently() -> None:
    old = "SUPABASE_URL=https://x\nSUPABASE_KEY=a\nGROQ_API_KEY=b\nDEVICE_ID=c\nSERVER_URL=https://s\nSERVER_API_KEY=old\nSRC=$(id)\n"
    taken, told = names.for_release(env_file.parse(old))
    assert taken == {}
    said = "\n".join(told)
    for name in ("SUPABASE_URL, SUPABASE_KEY: not needed", "GROQ_API_KEY: not used here", "DEVICE_ID: no counterpart"):
        assert name in said
    assert "SERVER_URL: it is taken together with a SERVER_API_KEY of repo-server only" in said
    assert "SERVER_API_KEY: not used: a key of repo-server: make one with" in said
    assert "SRC: not used: a shell would carry out line 7; write it in single quotes" in said
    assert "old" not in said.replace("the old server", "").replace("The old server", "").replace("its old one", "")


@pytest.mark.parametrize("name", [name for one in names.NAMES for name in one.names])
def test_every_known_name_is_taken_or_said_everywhere(name: str) -> None:
    values = env_file.parse(f"{name}='17'\n")
    for text, told in (names.for_device(values), names.for_server(values)):
        assert any(line.startswith(f"{name} is " if "17" in text else f"{name}: ") for line in told)
    taken, told = names.for_release(values)
    assert bool(taken) is not any(line.startswith(name) for line in told)


def test_of_two_names_that_mean_the_same_the_last_counts_and_the_other_is_said() -> None:
    values = env_file.parse("CHANNEL=stable\nUPDATE_CHANNEL=beta\n")
    text, told = names.for_device(values)
    assert tomllib.loads(text)["assistant"]["channel"] == "beta"
    assert "CHANNEL: not used: UPDATE_CHANNEL means the same, and stands behind it" in told
    assert names.for_release(values) == (
        {"CHANNEL": "beta"},
        ["CHANNEL: not used: UPDATE_CHANNEL means the same, and stands behind it"],
    )


@pytest.mark.parametrize(
    ("value", "pins"), [("17", [17]), ("'17, 27'", [17, 27]), ("'17]\nx = [1'", None), ("GPIO17", None)]
)
def test_pins_are_numbers(value: str, pins: list[int] | None) -> None:
    text, told = names.for_device(env_file.parse(f"BUTTON_PIN={value}\n"))
    assert tomllib.loads(text).get("activity", {}).get("gpio_pins") == pins
    assert ("BUTTON_PIN: not used: it is no number of a pin, as 17 or 17,27" in told) is (pins is None)


@given(st.dictionaries(st.sampled_from([name for one in names.NAMES for name in one.names]), st.text(max_size=20)))
def test_whatever_the_values_are_it_is_toml_and_every_name_is_told_of(values_: dict[str, str]) -> None:
    values = {name: env_file.Value(text, 1, would_be_carried_out=False) for name, text in values_.items()}
    text, told = names.for_device(values)
    tomllib.loads(text)
    assert all(any(name in line for line in told) for name in values_)


NOTES = 'it\'s "new": $HOME ${SRC} $(id) `id` %s \\n #1 & more; done | $$\nsecond line ☃'


def test_a_description_arrives_as_it_was_written(tmp_path: Path) -> None:
    """Through the script, make and its shell, with the real Makefile; only Python is not the one that releases."""
    stub = tmp_path / "python"
    stub.write_text("#!/usr/bin/python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    stub.chmod(0o755)
    (tmp_path / "make").write_text(f'#!/bin/sh\nexec /usr/bin/make "$@" -o setup PYTHON={stub}\n')
    (tmp_path / "make").chmod(0o755)
    done = subprocess.run(
        [ROOT / "create_update.sh", "v1.0.0", NOTES, "scheduled"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SRC": str(SAMPLE), "ENV_FILE": os.devnull, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    release = ["-m", "pkgbuild", "release", "--version", "1.0.0", "--notes", NOTES]
    assert json.loads(done.stdout) == [*release, "--urgency", "scheduled", "--src", str(SAMPLE)]


def test_the_script_says_what_is_wrong_and_how_it_is_used(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "create_update.sh"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (run().returncode, run("--help").returncode) == (2, 0)
    assert run("--help").stdout == create_update.USAGE + "\n"
    refused = run("v1.0.0", "Initial release", "soon")
    assert refused.returncode == 2
    assert refused.stderr.startswith("create_update.sh: 'soon' is not an urgency")


def test_the_builders_server_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pkgbuild.toml"
    bare = '[[targets]]\ndebian = "trixie"\narchitecture = "arm64"\n[aptly]\nurl = "http://127.0.0.1:8080"\n[builder]\n'
    file.write_text(bare)
    monkeypatch.setenv("PKGBUILD_SERVER_API_KEY", KEY)
    with pytest.raises(PkgbuildError, match="PKGBUILD_SERVER_URL and PKGBUILD_SERVER_API_KEY: 'url' is missing"):
        config.load(file)
    monkeypatch.setenv("PKGBUILD_SERVER_URL", "https://updates.example.org")
    settings = config.load(file)
    assert settings.file.server is not None
    assert (settings.file.server.url, settings.api_key) == ("https://updates.example.org", KEY)
    file.write_text(bare + '[server]\nurl = "https://other.example.org"\napi_key_file = "gone"\ntimeout_seconds = 5\n')
    settings = config.load(file)
    assert settings.file.server is not None
    assert (settings.file.server.url, settings.api_key) == ("https://updates.example.org", KEY)
    assert settings.file.server.timeout_seconds == 5


DEVICE_ENV = """SERVER_URL=https://updates.example.org
CLIENT_API_KEY=secret-of-the-old-server
DEVICE_TIMEZONE=America/Los_Angeles  # Your local timezone
BUTTON_PIN=17
UPDATE_CHANNEL=beta
SAMPLE_RATE=48000
"""


def test_a_devices_env_file_becomes_its_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(DEVICE_ENV)
    done = CliRunner().invoke(pkgbuild, ["env", str(tmp_path / ".env")])
    assert done.exit_code == 0, done.output
    text = done.stdout.replace('# token = "…"', 'token = "t"').replace('# name = "…"', 'name = "sample-assistant"')
    merged = device_config.merge([device_config.Fragment("the .env file", tomllib.loads(text))])
    settings = device_config.validate(merged)
    assert (settings.server_url, settings.timezone, settings.channel) == (
        "https://updates.example.org", "America/Los_Angeles", "beta",
    )  # fmt: skip
    assert settings.activity.gpio_pins == (17,)
    assert "SERVER_URL is server.url now: the address of repo-server, not of the server before it" in done.stderr
    assert "CLIENT_API_KEY: no counterpart: each device has a token of its own" in done.stderr
    assert "SAMPLE_RATE: not used here" in done.stderr
    assert "secret-of-the-old-server" not in done.output


def test_a_servers_env_file_becomes_its_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOST=127.0.0.1\nPORT=8001\nSUPABASE_URL=https://x\n")
    done = CliRunner().invoke(pkgbuild, ["env", "--for", "server", str(tmp_path / ".env")])
    assert done.exit_code == 0, done.output
    environ = texts(done.stdout)
    settings = server_config.load({"state_dir": tmp_path}, environ)
    assert (settings.host, settings.port) == ("127.0.0.1", 8001)
    assert "SUPABASE_URL: not needed" in done.stderr


def test_an_env_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("what is this\n")
    done = CliRunner().invoke(pkgbuild, ["env", str(tmp_path / ".env")])
    assert done.exit_code == 2
    assert "line 1: write NAME=value" in done.stderr
