"""The CI examples: they parse, every command in them exists with its options, and their settings can be loaded."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]  # comes with schemathesis

from pkgbuild import config
from pkgbuild.cli import main

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "ci"
WORKFLOWS = ("github-actions.yml", "gitlab-ci.yml")
_MAKEFILE = FOLDER.parents[1] / "Makefile"


def scripts(found: Any) -> Iterator[str]:
    """Every shell script in a workflow, whatever system it is for."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key in {"run", "script", "before_script"}:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from scripts(value)
    elif isinstance(found, list):
        for one in found:
            yield from scripts(one)


def commands(name: str) -> list[list[str]]:
    """The calls of ``python -m pkgbuild``, as words."""
    text = "\n".join(scripts(yaml.safe_load((FOLDER / name).read_text())))
    calls = re.findall(r"python -m pkgbuild (.+)", text.replace("\\\n", " "))
    return [shlex.split(call.partition(" | ")[0]) for call in calls]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_command_exists_and_takes_its_options(name: str) -> None:
    found = commands(name)
    assert {words[0] for words in found} == {"release", "promote", "withdraw"}
    for first, *rest in found:
        command = main.get_command(click.Context(main), first)
        assert command is not None, first
        context = click.Context(command)
        _, _, order = command.make_parser(context).parse_args(list(rest))  # raises for an option that is not there
        given = {parameter.name for parameter in order}
        missing = [p.name for p in command.params if p.required and p.name not in given]
        assert missing == [], first


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_script_is_shell_and_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", _MAKEFILE.read_text(), re.MULTILINE))
    for script in scripts(yaml.safe_load((FOLDER / name).read_text())):
        subprocess.run(["sh", "-n", "-c", script], check=True)
        assert set(re.findall(r"(?m)^make ([a-z-]+)", script)) <= targets


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_one_job_publishes_at_a_time(name: str) -> None:
    found = yaml.safe_load((FOLDER / name).read_text())
    if "jobs" in found:
        assert found["concurrency"] == "pi-ota-release"
    else:
        publishing = {key for key, job in found.items() if isinstance(job, dict) and "script" in job}
        assert publishing == {"plan", "release", "promote", "withdraw"}
        assert {found[job]["extends"] for job in publishing} == {".pi-ota"}
        assert found[".pi-ota"]["resource_group"] == "pi-ota-release"


def test_the_settings_load_with_what_the_secrets_script_writes(tmp_path: Path) -> None:
    for name in ("pkgbuild.toml", "secrets.sh"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    secrets = {"APTLY_PASSWORD": "open sesame", "SERVER_KEY": "pik_x"}
    subprocess.run(["sh", tmp_path / "secrets.sh"], env={**os.environ, **secrets}, check=True)
    settings = config.load(tmp_path / "pkgbuild.toml")
    assert settings.aptly_login == ("builder", "open sesame")
    assert settings.api_key == "pik_x"
    assert (tmp_path / "state/server-key").stat().st_mode & 0o777 == 0o600
