"""``repo-server api-key …``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from repo_server import administration, times, wire, wire_identity
from repo_server.cli import options, session
from repo_server.cli.output import every, show, show_list
from repo_server.roles import Role
from repo_server.store import credentials

_COLUMNS = ("id", "name", "role", "created_at", "expires_at", "revoked_at")


@click.group("api-key")
def api_key() -> None:
    """Keys for people and programs."""


@api_key.command()
@options.where
@options.as_json
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True, help="What it may do.")
@click.option("--name", required=True, help="Whose key it is; it appears in the log.")
@click.option("--expires", type=options.Duration(), help="For how long, e.g. 12h, 90d [default: for ever].")
def create(
    *, state_dir: Path | None, file: Path | None, as_json: bool, role: str, name: str, expires: timedelta | None
) -> None:
    """Make a key; its secret is shown once."""
    now = times.utc_now()
    until = times.render(now + expires) if expires is not None else None
    with session.state(state_dir, file) as state:
        given = wire_identity.ApiKeyRequest.model_validate({"name": name, "role": Role(role), "expires_at": until})
        made = administration.create_api_key(state.db, given, session.WHO, now).model_dump(mode="json")
    show({"api_key": made["secret"], **{name: made[name] for name in ("name", "role", "expires_at")}}, as_json)


@api_key.command("list")
@options.where
@options.as_json
def list_keys(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the keys, also those that were revoked."""
    with session.state(state_dir, file) as state:
        found = every(
            wire.PageQuery(limit=1_000), lambda query: credentials.list_api_keys(state.db.connection(), query)
        )
    show_list(found, _COLUMNS, as_json)


@api_key.command()
@options.where
@click.argument("key_id", metavar="ID")
def revoke(state_dir: Path | None, file: Path | None, key_id: str) -> None:
    """Make a key worthless at once; ID as `api-key list` shows it. Here the last admin key may go as well."""
    with session.state(state_dir, file) as state:
        administration.revoke_api_key(state.db, key_id, session.WHO, times.utc_now(), last_admin_too=True)
