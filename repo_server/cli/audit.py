"""``repo-server audit``."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import click

from repo_server import times, wire_identity
from repo_server.cli import options, session
from repo_server.cli.output import every, show_list
from repo_server.store import audit as store

_COLUMNS = ("at", "who", "action", "subject", "detail")


@click.command()
@options.where
@options.as_json
@click.option("--who", help="Only what this one did, e.g. key:dashboard.")
@click.option("--action", help="Only this, e.g. device.decommission.")
@click.option("--subject", help="Only what was done to this id.")
@click.option("--last", type=options.Duration(), help="Only so far back, e.g. 12h, 7d.")
def audit(
    *,
    state_dir: Path | None,
    file: Path | None,
    as_json: bool,
    who: str | None,
    action: str | None,
    subject: str | None,
    last: timedelta | None,
) -> None:
    """List who changed what, the newest first."""
    since = times.utc_now() - last if last is not None else None
    query = wire_identity.AuditQuery.model_construct(who=who, action=action, subject=subject, since=since, limit=1_000)
    with session.state(state_dir, file) as state:
        found = every(query, lambda query: store.list_page(state.db.connection(), query))
    if not as_json:
        found = [{**item, "detail": json.dumps(item["detail"], ensure_ascii=False)} for item in found]
    show_list(found, _COLUMNS, as_json)
