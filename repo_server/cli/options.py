"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

from repo_server import durations
from repo_server.wire import CHANNEL

_LONGEST_WORD = 64
_F = TypeVar("_F", bound=Callable[..., object])


class Duration(click.ParamType[timedelta]):
    """``30m``, ``12h``, ``7d``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """As click asks for."""
        if isinstance(value, timedelta):
            return value
        try:
            return durations.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Word(click.ParamType[str]):
    """The name of a group or a channel, as the API takes it."""

    name = "word"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click asks for."""
        text = str(value)
        if len(text) > _LONGEST_WORD or re.fullmatch(CHANNEL, text) is None:
            self.fail(f"{text!r} is not a name such as stable or ground-floor", param, ctx)
        return text


def where(command: _F) -> _F:
    """The options that say where the state is, as ``state_dir`` and ``file``: see ``session.state``."""
    state = click.option(
        "--state", "state_dir", type=click.Path(path_type=Path), help="State folder; holds the database."
    )
    file = click.option(
        "--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML)."
    )
    return state(file(command))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
