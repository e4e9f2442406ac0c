"""``repo-server updates``: list, show, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from repo_server import rollout_answers as answers
from repo_server import times, wire
from repo_server.answers import Page
from repo_server.cli import options, session
from repo_server.cli.output import every, show, show_list
from repo_server.db import Database
from repo_server.errors import NotFoundError
from repo_server.store import spread
from repo_server.store import updates as store

_COLUMNS = ("id", "name", "version", "channel", "urgency", "state", "announced_at")
_SHOWN = ("id", "name", "version", "channel", "urgency", "notes", "announced_at")
_ROLLOUT = ("state", "halt_reason", "expedited", "next_wave_at", "failures", "finished", "superseded_by", "devices")
_WAVES = ("number", "group", "percent", "opened_at", "size", "statuses")
_PLANNED_WAVES = ("number", "group", "percent", "opens_at", "opened", "devices", "states", "first_at", "last_at")
_PLANNED = ("device_id", "hostname", "timezone", "wave", "state", "reason", "earliest_at", "likely_at", "basis")


@click.group(invoke_without_command=True)
@options.where
@options.as_json
@click.pass_context
def updates(ctx: click.Context, state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the updates, the newest first; or show one of them. UPDATE is its id, or its version."""
    if ctx.invoked_subcommand is None:
        _list(state_dir, file, as_json)


@updates.command("list")
@options.where
@options.as_json
def list_(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the updates, the newest first."""
    _list(state_dir, file, as_json)


def _list(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    with session.state(state_dir, file) as state:
        found = every(wire.UpdateQuery(limit=1_000), lambda query: store.list_page(state.db.connection(), query))
    show_list(found, _COLUMNS, as_json)


@updates.command("show")
@click.argument("update")
@options.where
@options.as_json
def show_(update: str, state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """How one update spreads."""
    with session.state(state_dir, file) as state:
        found = spread.shown(state.db.connection(), which(state.db, update))
    if found is None:
        raise click.ClickException("this update was removed meanwhile")
    whole = found.model_dump(mode="json")
    if as_json:
        show(whole, as_json)
        return
    rollout: dict[str, Any] = whole["rollout"]
    show({**{name: whole[name] for name in _SHOWN}, **{name: rollout[name] for name in _ROLLOUT}}, as_json)
    click.echo()
    show_list([_in_words(wave) for wave in rollout["waves"]], _WAVES, as_json)


@updates.command()
@click.argument("update")
@click.option("--wave", type=click.IntRange(1, 20), help="Only this wave's devices.")
@options.where
@options.as_json
def plan(update: str, wave: int | None, state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """Who gets an update when."""
    now = times.utc_now()
    with session.state(state_dir, file) as state:
        update_id = which(state.db, update)
        plans: list[answers.Plan] = []

        def fetch(query: wire.PlanQuery) -> Page[answers.Expected]:
            found = spread.planned(state.db.connection(), update_id, query, now)
            if found is None:
                raise NotFoundError("this update was removed meanwhile")
            plans.append(found)
            return Page(items=found.items, next_cursor=found.next_cursor)

        items = every(wire.PlanQuery(limit=1_000, wave=wave), fetch)
    whole = {**plans[0].model_dump(mode="json"), "items": items, "next_cursor": None}
    if as_json:
        show(whole, as_json)
        return
    show_list([_in_words(one) for one in whole["waves"]], _PLANNED_WAVES, as_json)
    click.echo()
    show_list(items, _PLANNED, as_json)
    click.echo()
    for sentence in whole["assumptions"]:
        click.echo(f"Assumed: {sentence}.")


def which(db: Database, text: str) -> str:
    """The id of the update that a person means: by its id, or by its version where only one update has it.

    Raises ``NotFoundError`` with what to do.
    """
    ids = store.named(db.connection(), text)
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise NotFoundError(f"{len(ids)} updates have the version {text}; name one by its id, see `updates list`")
    raise NotFoundError(f"there is no update {text}; `repo-server updates list` lists them")


def _in_words(wave: dict[str, Any]) -> dict[str, Any]:
    counted = {name: value for name, value in wave.items() if isinstance(value, dict)}
    words = {name: " ".join(f"{key}={count}" for key, count in value.items()) for name, value in counted.items()}
    return {**wave, **words}
