"""docs/COMMANDS.md: every command and option, from click's and argparse's own parsers, and the Makefile's targets."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

import click

from docs.reference.markdown import BY_HAND, code, page, paragraphs, table
from pi_hook import cli as pi_hook_cli
from pkgbuild.cli import main as pkgbuild
from repo_server.cli import main as repo_server

_TARGET = re.compile(r"^([a-z][a-z0-9-]*):(?!=)[^\n]*?## (.*)\n((?:[ \t]+.*\n?|\n(?=[ \t]))*)", re.MULTILINE)
_DEFAULT = re.compile(r"^([A-Z_]+) \?= (.*)$", re.MULTILINE)
_OF_TARGET = re.compile(r"^([a-z-]+): ([A-Z_]+) := (.*)$", re.MULTILINE)
_MEANING = re.compile(r"^#: ([A-Z_]+) +(.*)$", re.MULTILINE)
_USED = re.compile(r"\$\$?[({]([A-Z_]+)|\$\$([A-Z_]+)")


class UndocumentedError(Exception):
    """Something has no words in the code."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target of the Makefile, with the variables that it looks at."""

    name: str
    words: str
    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the Makefile that a person may set."""

    name: str
    words: str
    default: str


def document(makefile: str) -> str:
    """COMMANDS.md. Raises ``UndocumentedError``."""
    return page(
        [BY_HAND],
        _INTRODUCTION,
        *_make(makefile),
        *_click(pkgbuild, "pkgbuild"),
        *_click(repo_server, "repo-server"),
        *_argparse(),
    )


def targets(makefile: str) -> list[Target]:
    """Every target that `make` lists."""
    known = {name for name, _ in _MEANING.findall(makefile)}
    found = []
    for name, words, recipe in _TARGET.findall(makefile):
        used = dict.fromkeys(one or other for one, other in _USED.findall(recipe))
        found.append(Target(name, words, tuple(variable for variable in used if variable in known)))
    return found


def variables(makefile: str) -> list[Variable]:
    """Every variable that has a line ``#: NAME  meaning``."""
    defaults = {name: code(value) for name, value in _DEFAULT.findall(makefile) if not value.startswith("$(shell")}
    for target, name, value in _OF_TARGET.findall(makefile):
        defaults[name] = f"{defaults.get(name, '')}; of `{target}` {code(value)}".removeprefix("; ")
    return [Variable(name, words, defaults.get(name, "")) for name, words in _MEANING.findall(makefile)]


def _make(makefile: str) -> Iterator[list[str]]:
    yield [
        "## make",
        "",
        "Each installs what it needs. Variables are given behind the target, as `make prune KEEP=5 DRY_RUN=1`.",
    ]
    rows = [
        [code(f"make {one.name}"), one.words, ", ".join(code(name) for name in one.variables)]
        for one in targets(makefile)
    ]
    yield table(["target", "what it does", "variables"], rows)
    yield table(["variable", "meaning", "default"], [[code(v.name), v.words, v.default] for v in variables(makefile)])


def click_commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command of a program by its whole name, groups before what is in them."""
    context = click.Context(group, info_name=name)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if command is None:
            raise UndocumentedError(f"{name} lists {word} and has no such command")
        yield f"{name} {word}", command
        if isinstance(command, click.Group):
            yield from click_commands(command, f"{name} {word}")


def _click(group: click.Group, name: str) -> Iterator[list[str]]:
    yield [f"## {name}", "", *_said("\n\n".join(filter(None, [group.help, group.epilog])), name)]
    for whole, command in click_commands(group, name):
        context = click.Context(command, info_name=whole)
        usage = " ".join([whole, *command.collect_usage_pieces(context)])
        lines = [f"### {whole}", "", code(usage), "", *_said(command.help, whole)]
        yield [*lines, *_options(whole, command, context)]


def _options(whole: str, command: click.Command, context: click.Context) -> list[str]:
    rows = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is None or not isinstance(parameter, click.Option):
            continue  # an argument stands in the usage, and the command's words tell of it
        if not parameter.help:
            raise UndocumentedError(f"the option {record[0]} of {whole} has no help")
        rows.append([code(record[0]), record[1]])
    return ["", *table(["option", "meaning"], rows)] if rows else []


def _said(text: str | None, whole: str) -> list[str]:
    if not text:
        raise UndocumentedError(f"{whole} has no docstring or help")
    lines: list[str] = []
    for one in paragraphs(text):
        lines += [one, ""]
    return lines[:-1]


def argparse_commands() -> dict[str, argparse.ArgumentParser]:
    """The commands of ``pi-hook`` by their names."""
    (found,) = [one for one in pi_hook_cli.parser()._actions if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001 - argparse shows them nowhere else
    return dict(found.choices)


def _argparse() -> Iterator[list[str]]:
    yield ["## pi-hook", "", "On the device; also in `man pi-hook`."]
    for name, parser in argparse_commands().items():
        usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
        lines = [f"### pi-hook {name}", "", code(usage), "", *_said(parser.description, f"pi-hook {name}")]
        rows = [[code(_shown(one)), _helped(one, name)] for one in parser._actions if one.dest != "help"]  # noqa: SLF001 - as above
        yield [*lines, "", *table(["argument", "meaning"], rows)] if rows else lines


def _shown(action: argparse.Action) -> str:
    words = ", ".join(action.option_strings)
    if action.nargs == 0:
        return words
    value = (
        "|".join(str(one) for one in action.choices) if action.choices else str(action.metavar or action.dest.upper())
    )
    return f"{words} {value}".strip()


def _helped(action: argparse.Action, command: str) -> str:
    if not action.help:
        raise UndocumentedError(f"{_shown(action)} of pi-hook {command} has no help")
    return action.help


_INTRODUCTION = """# Commands

Every command with its options, from the programs' own parsers: what `--help` says, in one place. `pkgbuild` is
`.venv/bin/python -m pkgbuild` in a checkout and `repo-server` `.venv/bin/python -m repo_server`; `pkgbuild` finds its
settings by `PKGBUILD_CONFIG`, `repo-server` its state by `--state` ([SETTINGS.md](SETTINGS.md)). `pi-hook` is the
package on the device. `--help` is taken everywhere.""".splitlines()
