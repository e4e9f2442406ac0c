"""``repo-server serve``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from repo_server import config
from repo_server.cli import options, session


@click.command()
@options.where
@click.option("--repository", "repository_dir", type=click.Path(path_type=Path), help="aptly's public folder.")
@click.option("--host", help="Address to listen on [default: 0.0.0.0].")
@click.option("--port", type=int, help="Port [default: 8000]; 0 takes a free one.")
@click.option("--threads", type=int, help="Requests served at once [default: 16].")
@click.option("--heartbeat-seconds", type=int, help="Interval that devices are told [default: 300].")
def serve(file: Path | None, **given: str | int | Path | None) -> None:
    """Serve, in the foreground, under gunicorn. Stop it with SIGTERM."""
    with session.sentences():
        settings = config.load(given, os.environ, file)
        with session.opened(settings):
            pass  # what is wrong with the database is said here, in a sentence
    environ = {name: value for name, value in os.environ.items() if not name.startswith(config.ENVIRONMENT)}
    arguments = [sys.executable, "-m", "gunicorn", "--config", "python:repo_server.gunicorn_conf"]
    os.execve(sys.executable, arguments, environ | settings.environment())  # noqa: S606 - no shell is meant
