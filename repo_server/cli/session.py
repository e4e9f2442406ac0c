"""A command at work on the database, beside a server that may be running; errors as one sentence."""

from __future__ import annotations

import getpass
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from repo_server import body, config
from repo_server.cli.output import fail
from repo_server.db import Database
from repo_server.errors import ConfigError, RepoServerError

WHO = f"cli:{os.environ.get('SUDO_USER') or getpass.getuser()}"
"""How the audit log names whoever is at the server's own shell."""


@dataclass(frozen=True, slots=True)
class State:
    """What a command works on."""

    settings: config.Settings
    db: Database


@contextmanager
def sentences() -> Iterator[None]:
    """Errors as one sentence and exit status 1."""
    try:
        yield
    except RepoServerError as error:
        fail(str(error))
    except ValidationError as error:
        fail(body.sentence(error))
    except sqlite3.Error as error:
        fail(f"the database cannot be used: {error}")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


@contextmanager
def state(state_dir: Path | None, file: Path | None) -> Iterator[State]:
    """The settings and the open database that the options of ``options.where`` mean; errors as ``sentences`` says."""
    with sentences():
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        with opened(settings) as db:
            yield State(settings, db)


@contextmanager
def opened(settings: config.Settings, *, create: bool = False) -> Iterator[Database]:
    """The database. Raises ``ConfigError`` where there is none, unless it shall be made."""
    if not create and not settings.database.exists():
        raise ConfigError(f"there is no database in {settings.state_dir}; `repo-server init --state DIR` makes one")
    db = Database(settings.database, busy_timeout_seconds=settings.busy_timeout_seconds)
    try:
        yield db
    finally:
        db.close()
