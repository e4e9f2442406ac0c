"""``repo-server backup`` and ``repo-server restore``."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import click

from repo_server import backups, config, storage, times
from repo_server.cli import options, session
from repo_server.cli.output import show
from repo_server.errors import ConfigError


@click.command()
@options.where
@options.as_json
@click.option("--keep", type=options.Duration(), help="Delete copies in backup_dir that are older, e.g. 14d.")
@click.argument("named", metavar="[FILE]", required=False, type=click.Path(path_type=Path, dir_okay=False))
def backup(
    *, state_dir: Path | None, file: Path | None, as_json: bool, keep: timedelta | None, named: Path | None
) -> None:
    """Copy the database to FILE (0600), also while the server runs; nobody waits for it, and the copy is checked.

    Without FILE into the folder backup_dir of the settings, under a name with the time.
    """
    with session.sentences():
        settings, now = config.load({"state_dir": state_dir}, os.environ, file), times.utc_now()
        if not settings.database.exists():
            raise ConfigError(f"there is no database in {settings.state_dir}; `repo-server init --state DIR` makes one")
        if named is None and settings.backup_dir is None:
            raise ConfigError("name a FILE, or set backup_dir in the settings")
        if named is not None and keep is not None:
            raise ConfigError("--keep is for the copies in backup_dir: leave FILE out")
        folder = settings.backup_dir or Path()
        target = named or backups.place(folder, now)
        size = storage.backup(settings.database, target)
        gone = backups.delete_older(folder, now - keep) if keep is not None else 0
    show({"backup": str(target), "bytes": size, **({"deleted": gone} if keep is not None else {})}, as_json)


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
