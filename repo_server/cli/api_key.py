"""``repo-server api-key …``."""

from __future__ import annotations

from pathlib import Path

import click

from repo_server import times
from repo_server.cli import options, session
from repo_server.cli.output import show
from repo_server.roles import Role
from repo_server.store import credentials


@click.group("api-key")
def api_key() -> None:
    """Keys for people and programs."""


@api_key.command()
@options.where
@options.as_json
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True)
@click.option("--name", required=True, help="Whose key it is; it appears in the log.")
def create(state_dir: Path | None, file: Path | None, as_json: bool, role: str, name: str) -> None:
    """Make a key; its secret is shown once."""
    with session.state(state_dir, file) as state:
        tables = state.db.tables()
        secret = state.db.write(
            lambda _: credentials.create_api_key(tables, name, Role(role), session.WHO, times.utc_now())
        )
    show({"api_key": secret, "name": name, "role": role}, as_json)
