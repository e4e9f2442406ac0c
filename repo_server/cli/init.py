"""``repo-server init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from repo_server import config, times
from repo_server.cli import options, session
from repo_server.cli.output import fail, show
from repo_server.roles import Role
from repo_server.store import credentials


@click.command()
@options.where
@options.as_json
@click.option(
    "--write-keys", type=click.Path(path_type=Path, file_okay=False), help="Write the secrets there too, 0600."
)
@click.option(
    "--without-token", is_flag=True, help="Make no enrollment token: `enroll-token create` does, with an end."
)
def init(
    *, state_dir: Path | None, file: Path | None, as_json: bool, write_keys: Path | None, without_token: bool
) -> None:
    """Make the database, a first admin key and a first enrollment token. The secrets are shown once."""
    with session.sentences():
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        if settings.database.exists():
            fail(f"{settings.database} exists already; `repo-server api-key create` makes another key")
        with session.opened(settings, create=True) as db:
            now, tables = times.utc_now(), db.tables()

            def secrets(_: object) -> dict[str, str]:
                made = {"admin_key": credentials.create_api_key(tables, "first admin", Role.ADMIN, session.WHO, now)}
                if not without_token:
                    made["enrollment_token"] = credentials.create_enrollment_token(
                        tables, "first", session.WHO, now, uses_allowed=None, expires_at=None
                    )
                return made

            made = db.write(secrets)
        show({**made, "database": str(settings.database)}, as_json)
        if write_keys is not None:
            for name, secret in made.items():
                _write_secret(write_keys / name, secret)


def _write_secret(file: Path, secret: str) -> None:
    """A file that only its owner may read, from its first instant on."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(secret + "\n")
