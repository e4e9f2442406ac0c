"""The references are what the code gives, and nothing that a user can meet is without words."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from docs import reference
from docs.reference import api, commands, settings
from docs.reference.api import Described
from docs.reference.markdown import anchor, between, prose, table

ROOT = Path(__file__).parents[3]


def test_the_references_are_what_the_code_gives_now() -> None:
    assert reference.stale() == [], "these are not what the code gives: run `make docs`, and commit what it writes"


def test_one_that_was_changed_is_seen_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "generated", lambda: {"a.md": "as the code has it\n", "b.md": "too\n"})
    (tmp_path / "a.md").write_text("by hand\n")
    assert reference.stale() == ["a.md", "b.md"]
    assert reference.write() == ["a.md", "b.md"]
    assert reference.stale() == []
    assert reference.write() == []


def test_a_decision_record_that_is_not_as_all_are_is_seen(tmp_path: Path) -> None:
    (tmp_path / "0007-seven.md").write_text("# 7. Seven\n\nStatus: accepted\n\nSo.\n")
    assert "| 7 | [Seven](0007-seven.md) | accepted |" in reference.decisions(tmp_path)
    for text in ("# 8. Seven\n\nStatus: accepted\n", "# 7: Seven\n\nStatus: accepted\n", "# 7. Seven\n\nSo.\n"):
        (tmp_path / "0007-seven.md").write_text(text)
        with pytest.raises(ValueError, match=r"0007-seven\.md does not begin with"):
            reference.decisions(tmp_path)


def test_an_endpoint_without_an_example_is_seen() -> None:
    described = api.described()
    fewer = {key: value for key, value in described.examples.items() if key != ("GET", "/api/v1/fleet")}
    with pytest.raises(api.UndocumentedError, match="GET /api/v1/fleet has no example"):
        api.document(Described(described.openapi, fewer))


def test_every_query_parameter_has_words() -> None:
    operations = list(api.described().operations())
    assert operations
    asked = [(path, one) for _, path, each in operations for one in each["parameters"] if one["in"] == "query"]
    assert [(path, one["name"]) for path, one in asked if not one["description"]] == []
    headers = {one["name"] for _, _, each in operations for one in each["parameters"] if one["in"] == "header"}
    assert headers == set(api.HEADERS)


def test_an_option_without_help_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.group()
    def program() -> None:
        """A program."""

    @program.command()
    @click.option("--mute")
    def run(mute: str) -> None:
        """Run."""

    monkeypatch.setattr(commands, "pkgbuild", program)
    with pytest.raises(commands.UndocumentedError, match="the option --mute TEXT of pkgbuild run has no help"):
        commands.document("")


def test_a_command_without_words_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "argparse_commands", lambda: {"dance": argparse.ArgumentParser("dance")})
    with pytest.raises(commands.UndocumentedError, match="pi-hook dance has no docstring or help"):
        commands.document("")


def test_a_setting_without_words_is_seen() -> None:
    class Bare(BaseModel):
        loud: bool = False

    with pytest.raises(settings.UndocumentedError, match=r"loud in  ?of a\.toml has no words"):
        list(settings._tables(Bare, "a.toml"))


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_target_is_listed_with_the_variables_that_it_takes() -> None:
    targets = {one.name: one for one in commands.targets(MAKEFILE)}
    assert set(targets) == {line.split()[1] for line in MAKEFILE.splitlines() if line.startswith(".PHONY: ")} - {
        "packages"
    }
    assert targets["release"].variables == ("VERSION", "NOTES", "URGENCY", "SRC", "CHANNEL", "DRY_RUN")
    assert targets["powercut"].variables == ("N", "SEED", "REAL", "JOBS")


def test_every_variable_of_the_makefile_has_words_and_is_used() -> None:
    """What may be set is exported to the recipes, has a default that may be replaced, or is in a target's line."""
    exported = next(line for line in MAKEFILE.splitlines() if line.startswith("export VERSION")).split()[1:]
    replaced = [line.split()[0] for line in MAKEFILE.splitlines() if " ?= " in line and not line.startswith("export")]
    described = {one.name: one for one in commands.variables(MAKEFILE)}
    assert set(described) == {*exported, *replaced, "PKGBUILD_CONFIG", "PAGES", "CORE", "DEBIAN"}
    assert (described["N"].default, described["STATE"].default) == ("`20`; of `fleet` `10000`", "`.pi-ota/serve`")


def environment_variables(program: str) -> set[str]:
    """What a program reads from its environment by a name that is written there."""
    found = set()
    for path in sorted((ROOT / program).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            one.targets[0].id: one.value.value
            for one in tree.body
            if isinstance(one, ast.Assign)
            and isinstance(one.targets[0], ast.Name)
            and isinstance(one.value, ast.Constant)
        }
        for node in ast.walk(tree):
            match node:
                case ast.Subscript(ast.Name("environ" | "environment") | ast.Attribute(attr="environ"), name):
                    pass
                case ast.Call(
                    ast.Attribute(ast.Name("environ" | "environment") | ast.Attribute(attr="environ"), "get" | "pop"),
                    [name, *_],
                ):
                    pass
                case _:
                    continue
            match name:
                case ast.Constant(str(text)):
                    found.add(text)
                case ast.Name(constant) if constant in constants:
                    found.add(str(constants[constant]))
    return found


NOT_FOR_USERS = {
    # WSGI's environment, which is no environment of a process.
    "PATH_INFO", "REMOTE_ADDR", "HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_FOR", "CONTENT_LENGTH", "CONTENT_TYPE",
    "REQUEST_METHOD", "wsgi.input", "wsgi.url_scheme",
    "repo_server.forwarded",
    # What others define.
    "APT_CONFIG", "GNUPGHOME", "TZ", "SUDO_USER", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
    "REPO_SERVER_",  # a prefix
}  # fmt: skip


@pytest.mark.parametrize("program", ["pkgbuild", "repo_server", "pi_hook"])
def test_every_environment_variable_is_in_the_reference(program: str) -> None:
    files = settings.VARIABLES[program.replace("repo_server", "repo-server").replace("pi_hook", "pi-hook")]
    described = {name for file in files for name in settings.variables((ROOT / file).read_text(encoding="utf-8"))}
    assert environment_variables(program) - NOT_FOR_USERS == described


def test_what_it_is_written_with() -> None:
    assert prose("as ``this``,\n  and that") == "as `this`, and that"
    assert table(["a"], [["b|c"]]) == ["| a |", "| --- |", "| b\\|c |"]
    assert anchor("GET /api/v1/devices/{device_id}") == "get-apiv1devicesdevice_id"
    marked = "x\n<!-- t: made from the code by `make docs` -->\nold\n<!-- end of t -->\ny"
    assert between(marked, "t", ["new"]) == marked.replace("old", "new")
    with pytest.raises(ValueError, match="are missing"):
        between("no marks", "t", [])
