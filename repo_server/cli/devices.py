"""``repo-server devices``."""

from __future__ import annotations

from pathlib import Path

import click

from repo_server import times, wire
from repo_server.cli import options, session
from repo_server.cli.output import every, show_list
from repo_server.store import devices as store

_COLUMNS = ("id", "hostname", "channel", "installed", "active", "online", "last_seen_at")


@click.command()
@options.where
@options.as_json
def devices(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the devices."""
    with session.state(state_dir, file) as state:
        now = times.utc_now()
        found = every(
            wire.DeviceQuery(limit=1_000),
            lambda query: store.list_page(state.db.connection(), query, now, state.settings.online_for),
        )
    show_list(found, _COLUMNS, as_json)
