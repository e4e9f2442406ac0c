"""What every command prints: tables for people, ``--json`` for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import click

from repo_server import answers, wire

_Q = TypeVar("_Q", bound=wire.PageQuery)
_A = TypeVar("_A", bound=answers.Answer)


def show(values: Mapping[str, object], as_json: bool) -> None:
    """One thing: a line a value for people, one object for programs."""
    if as_json:
        click.echo(json.dumps(dict(values)))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {_cell(value)}")


def show_list(items: Sequence[Mapping[str, object]], columns: Sequence[str], as_json: bool) -> None:
    """Many things: a table of ``columns`` for people, a list of the whole objects for programs."""
    if as_json:
        click.echo(json.dumps(list(items)))
        return
    rows = [list(columns), *([_cell(item[name]) for name in columns] for item in items)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def every(query: _Q, fetch: Callable[[_Q], answers.Page[_A]]) -> list[dict[str, Any]]:
    """Every item of a paged list, as ``show_list`` takes them."""
    found: list[dict[str, Any]] = []
    while True:
        rows = fetch(query)
        found += [item.model_dump(mode="json") for item in rows.items]
        if rows.next_cursor is None:
            return found
        query = query.model_copy(update={"cursor": rows.next_cursor})


def fail(sentence: str) -> NoReturn:
    """End with ``Error: sentence`` and exit status 1."""
    raise click.ClickException(sentence)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
