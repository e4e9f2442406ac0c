"""Whether a command line fits what a program takes, by its own parser; words that stand for a value are let be."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

import click

from docs.reference import commands as reference
from pkgbuild.cli import main as pkgbuild
from repo_server.cli import main as repo_server
from tests.unit.docs.documents import ROOT, Command

_MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = frozenset(re.findall(r"^([a-z][a-z0-9-]*):", _MAKEFILE, re.MULTILINE))
VARIABLES = frozenset(one.name for one in reference.variables(_MAKEFILE))


def problem(command: Command) -> str | None:
    """What is wrong with it, or None."""
    words = [word.strip("[]") for word in command.words if word.strip("[]") not in {"", "...", "OPTIONS"}]
    if command.program == "make":
        return _make(words)
    if command.program == "pi-hook":
        return _argparse(words, whole=command.whole)
    return _click({"pkgbuild": pkgbuild, "repo-server": repo_server}[command.program], words, whole=command.whole)


def stands_for_something(word: str) -> bool:
    """``…``, ``ID``, ``a|b``, ``<this>``: no value of its own."""
    return "…" in word or "|" in word or bool(re.fullmatch(r"<?[A-Z][A-Z_0-9]*>?(\.\.\.)?|\{.*\}", word))


def _make(words: Sequence[str]) -> str | None:
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable and name not in VARIABLES:
            return f"make takes no {name}"
        if not is_variable and word not in TARGETS and word != "…":
            return f"make has no target {word}"
    return None


def _click(command: click.Command, words: list[str], *, whole: bool) -> str | None:
    name = "the program"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if stands_for_something(words[0]):
            return None
        name, found = words[0], command.get_command(click.Context(command), words[0])
        if found is None:
            return f"there is no command {name}"
        command, words = found, words[1:]
    try:
        given, places = _taken(command, name, words)
    except click.UsageError as error:
        return error.format_message()
    return _places(command, name, places, whole=whole) or (_missing(command, name, given) if whole else None)


def _taken(command: click.Command, name: str, words: list[str]) -> tuple[set[str | None], list[str]]:
    """The names of the options that are given, and what else stands there. Raises ``click.UsageError``."""
    shown = [one for one in command.params if isinstance(one, click.Option)]
    options = {spelled: one for one in shown for spelled in (*one.opts, *one.secondary_opts)}
    given, places, waiting = set[str | None](), list[str](), list(words)
    while waiting:
        spelled, equals, value = waiting.pop(0).partition("=")
        if not spelled.startswith("-"):
            places.append(spelled + equals + value)
        elif spelled in options:
            option = options[spelled]
            given.add(option.name)
            if not option.is_flag:
                _check(option, value if equals else waiting.pop(0) if waiting else "…")
        elif spelled not in {"--help", "-h", "--version"}:
            raise click.UsageError(f"{name} has no option {spelled}")
    return given, places


def _places(command: click.Command, name: str, places: list[str], *, whole: bool) -> str | None:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    many = any(one.nargs == -1 for one in arguments)
    if not many and len(places) > len(arguments) and "…" not in places:
        return f"{name} takes {len(arguments)} arguments, not {len(places)}: {' '.join(places)}"
    if whole and len(places) < sum(one.required for one in arguments) and "…" not in places:
        return f"{name} needs more arguments than {places}"
    try:
        for argument, place in zip(arguments, places, strict=False):
            _check(argument, place)
    except click.UsageError as error:
        return error.format_message()
    return None


def _missing(command: click.Command, name: str, given: set[str | None]) -> str | None:
    missing = [
        one.opts[0]
        for one in command.params
        if isinstance(one, click.Option) and one.required and one.name not in given
    ]
    return f"{name} needs {', '.join(missing)}" if missing else None


def _check(parameter: click.Parameter, word: str) -> None:
    """Raises ``click.UsageError`` where the parameter does not take the word."""
    if not stands_for_something(word) and not isinstance(parameter.type, click.Path | click.File):
        parameter.type.convert(word, parameter, None)


def _argparse(words: list[str], *, whole: bool) -> str | None:
    known = reference.argparse_commands()
    if not words or words[0] in {"--version", "--help"}:
        return None
    if words[0] not in known:
        return None if stands_for_something(words[0]) else f"pi-hook has no command {words[0]}"
    options: dict[str, argparse.Action] = {}
    places: list[argparse.Action] = []
    for action in known[words[0]]._actions:
        options.update(dict.fromkeys(action.option_strings, action))
        places += [] if action.option_strings else [action]
    waiting = words[1:]
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-"):
            if word not in options:
                return f"pi-hook {words[0]} has no option {word}"
            action = options[word]
            value = waiting.pop(0) if action.nargs is None and waiting else "…"
        elif places:
            action, value = places.pop(0), word
        else:
            return f"pi-hook {words[0]} takes no argument {word}"
        if action.choices and value not in action.choices and not stands_for_something(value):
            return f"{value} is none of {', '.join(map(str, action.choices))}"
    needed = [one for one in places if one.nargs is None]
    return f"pi-hook {words[0]} needs {needed[0].dest}" if whole and needed else None
