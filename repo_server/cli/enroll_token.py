"""``repo-server enroll-token …``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from repo_server import times
from repo_server.cli import options, session
from repo_server.cli.output import show
from repo_server.store import credentials


@click.group("enroll-token")
def enroll_token() -> None:
    """Tokens with which devices register."""


@enroll_token.command()
@options.where
@options.as_json
@click.option("--name", default="devices", show_default=True)
@click.option("--uses", type=click.IntRange(min=1), help="How many devices may register [default: any number].")
@click.option("--expires", type=options.Duration(), help="For how long, e.g. 30m, 12h, 7d [default: for ever].")
def create(
    *, state_dir: Path | None, file: Path | None, as_json: bool, name: str, uses: int | None, expires: timedelta | None
) -> None:
    """Make an enrollment token; its secret is shown once."""
    now = times.utc_now()
    until = now + expires if expires is not None else None
    with session.state(state_dir, file) as state:
        tables = state.db.tables()
        secret = state.db.write(
            lambda _: credentials.create_enrollment_token(
                tables, name, session.WHO, now, uses_allowed=uses, expires_at=until
            )
        )
    shown = {
        "enrollment_token": secret,
        "name": name,
        "uses": uses,
        "expires_at": times.render(until) if until else None,
    }
    show(shown, as_json)
