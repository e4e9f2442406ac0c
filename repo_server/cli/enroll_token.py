"""``repo-server enroll-token …``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from repo_server import administration, times, wire, wire_identity
from repo_server.cli import options, session
from repo_server.cli.output import every, show, show_list
from repo_server.store import credentials

_COLUMNS = (
    "id",
    "name",
    "uses",
    "uses_allowed",
    "group",
    "channel",
    "approval",
    "recovery",
    "expires_at",
    "revoked_at",
)


@click.group("enroll-token")
def enroll_token() -> None:
    """Tokens with which devices register."""


@enroll_token.command()
@options.where
@options.as_json
@click.option("--name", default="devices", show_default=True, help="What it is called; it appears in the log.")
@click.option("--uses", type=click.IntRange(min=1), help="How many devices may register [default: any number].")
@click.option("--expires", type=options.Duration(), help="For how long, e.g. 30m, 12h, 7d [default: for ever].")
@click.option("--group", type=options.Word(), help="The group that its devices belong to.")
@click.option("--channel", type=options.Word(), help="The channel that its devices follow, whatever they ask for.")
@click.option("--approval", is_flag=True, help="Each device waits until an operator has approved it.")
def create(
    *,
    state_dir: Path | None,
    file: Path | None,
    as_json: bool,
    name: str,
    uses: int | None,
    expires: timedelta | None,
    group: str | None,
    channel: str | None,
    approval: bool,
) -> None:
    """Make an enrollment token; its secret is shown once."""
    now = times.utc_now()
    asked = {
        "name": name,
        "uses": uses,
        "expires_at": times.render(now + expires) if expires is not None else None,
        "group": group,
        "channel": channel,
        "approval": approval,
    }
    with session.state(state_dir, file) as state:
        given = wire_identity.EnrollmentTokenRequest.model_validate(asked)
        made = administration.create_enrollment_token(state.db, given, session.WHO, now)
    show({"enrollment_token": made.secret, **asked}, as_json)


@enroll_token.command()
@options.where
@options.as_json
@click.option("--name", default="recovery", show_default=True, help="What it is called; it appears in the log.")
@click.option("--uses", type=click.IntRange(min=1), required=True, help="How many devices may come back.")
@click.option("--expires", type=options.Duration(), required=True, help="For how long, e.g. 7d; at most 30d.")
def recover(
    *, state_dir: Path | None, file: Path | None, as_json: bool, name: str, uses: int, expires: timedelta
) -> None:
    """After a restore: let devices that are not known any more ask for approval with their own token.

    There is no secret to hand out. `devices list --waiting` shows who has asked; `enroll-token revoke` ends it.
    """
    now = times.utc_now()
    with session.state(state_dir, file) as state:
        given = wire_identity.EnrollmentTokenRequest.model_validate(
            {"name": name, "uses": uses, "expires_at": times.render(now + expires), "recovery": True}
        )
        made = administration.create_enrollment_token(state.db, given, session.WHO, now)
    show(made.model_dump(mode="json", include={"id", "name", "uses_allowed", "expires_at"}), as_json)


@enroll_token.command("list")
@options.where
@options.as_json
def list_tokens(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the tokens, also those that were revoked."""
    with session.state(state_dir, file) as state:
        found = every(
            wire.PageQuery(limit=1_000), lambda query: credentials.list_enrollment_tokens(state.db.connection(), query)
        )
    show_list(found, _COLUMNS, as_json)


@enroll_token.command()
@options.where
@click.argument("token_id", metavar="ID")
def revoke(state_dir: Path | None, file: Path | None, token_id: str) -> None:
    """Let nobody register with a token any more; ID as `enroll-token list` shows it. Its devices stay registered."""
    with session.state(state_dir, file) as state:
        administration.revoke_enrollment_token(state.db, token_id, session.WHO, times.utc_now())
