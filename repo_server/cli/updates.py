"""``repo-server updates``."""

from __future__ import annotations

from pathlib import Path

import click

from repo_server import wire
from repo_server.cli import options, session
from repo_server.cli.output import every, show_list
from repo_server.store import updates as store

_COLUMNS = ("id", "name", "version", "channel", "urgency", "state", "announced_at")


@click.command()
@options.where
@options.as_json
def updates(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the updates, the newest first."""
    with session.state(state_dir, file) as state:
        found = every(wire.UpdateQuery(limit=1_000), lambda query: store.list_page(state.db.connection(), query))
    show_list(found, _COLUMNS, as_json)
