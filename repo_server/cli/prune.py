"""``repo-server prune``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from repo_server import housekeeping, times
from repo_server.cli import options, session
from repo_server.cli.output import show


@click.command()
@options.where
@options.as_json
@click.option("--keep", type=options.Duration(), help="Such as 12h or 7d [default: what the settings say].")
def prune(state_dir: Path | None, file: Path | None, as_json: bool, keep: timedelta | None) -> None:
    """Delete old heartbeats now, beside a running server. The server does so by itself as well."""
    with session.state(state_dir, file) as state:
        kept = keep or state.settings.heartbeats_kept
        gone = housekeeping.prune(state.db, kept, times.utc_now())
    show({"deleted_heartbeats": gone, "kept_hours": round(kept.total_seconds() / 3600, 2)}, as_json)
