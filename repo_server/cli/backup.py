"""``repo-server backup`` and ``repo-server restore``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from repo_server import config, storage, times
from repo_server.cli import options, session
from repo_server.cli.output import show
from repo_server.errors import ConfigError


@click.command()
@options.where
@options.as_json
@click.argument("file_to_write", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def backup(state_dir: Path | None, file: Path | None, as_json: bool, file_to_write: Path) -> None:
    """Copy the database to FILE (0600), also while the server runs; nobody waits for it, and the copy is checked."""
    with session.sentences():
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        if not settings.database.exists():
            raise ConfigError(f"there is no database in {settings.state_dir}; `repo-server init --state DIR` makes one")
        size = storage.backup(settings.database, file_to_write)
    show({"backup": str(file_to_write), "bytes": size}, as_json)


@click.command()
@options.where
@options.as_json
@click.argument("backup_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def restore(state_dir: Path | None, file: Path | None, as_json: bool, backup_file: Path) -> None:
    """Put the backup FILE in the database's place. Stop the server first; the old database is kept beside it."""
    with session.sentences():
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        aside = storage.restore(backup_file, settings.database, times.utc_now())
    show({"database": str(settings.database), "old_database": str(aside) if aside is not None else None}, as_json)
