"""``repo-server``: set up, start and look into the service on its own machine, without a key."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from repo_server import answers, config, times, wire
from repo_server.db import Database
from repo_server.errors import ConfigError, RepoServerError
from repo_server.roles import Role
from repo_server.store import credentials, devices, updates
from repo_server.store.paging import Rows
from repo_server.version import VERSION

_F = TypeVar("_F", bound=Callable[..., object])
_WHO = "cli"
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration such as 30m, 12h or 7d", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _where(command: _F) -> _F:
    """The options that say where the state is."""
    state = click.option(
        "--state", "state_dir", type=click.Path(path_type=Path), help="State folder; holds the database."
    )
    file = click.option(
        "--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML)."
    )
    return state(file(command))


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="repo-server")
def main() -> None:
    """The fleet's server: devices, updates and the published repository.

    Settings come from a TOML file (--config), the environment (REPO_SERVER_STATE_DIR, ...) and options.
    """


@main.command()
@_where
@_json
@click.option(
    "--write-keys", type=click.Path(path_type=Path, file_okay=False), help="Write the secrets there too, 0600."
)
def init(state_dir: Path | None, file: Path | None, as_json: bool, write_keys: Path | None) -> None:
    """Make the database, a first admin key and a first enrollment token. The secrets are shown once."""
    with _sentences():
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        if settings.database.exists():
            _fail(f"{settings.database} exists already; `repo-server api-key create` makes another key")
        with _opened(settings, create=True) as db:
            now = times.utc_now()
            tables = db.tables()
            made = db.write(
                lambda _: {
                    "admin_key": credentials.create_api_key(tables, "first admin", Role.ADMIN, _WHO, now),
                    "enrollment_token": credentials.create_enrollment_token(
                        tables, "first", _WHO, now, uses_allowed=None, expires_at=None
                    ),
                }
            )
        _show({**made, "database": str(settings.database)}, as_json)
        if write_keys is not None:
            for name, secret in made.items():
                _write_secret(write_keys / name, secret)


@main.command()
@_where
@click.option("--repository", "repository_dir", type=click.Path(path_type=Path), help="aptly's public folder.")
@click.option("--host", help="Address to listen on [default: 0.0.0.0].")
@click.option("--port", type=int, help="Port [default: 8000]; 0 takes a free one.")
@click.option("--threads", type=int, help="Requests served at once [default: 16].")
@click.option("--heartbeat-seconds", type=int, help="Interval that devices are told [default: 300].")
def serve(file: Path | None, **given: str | int | Path | None) -> None:
    """Serve, in the foreground, under gunicorn. Stop it with SIGTERM."""
    with _sentences():
        settings = config.load(given, os.environ, file)
        with _opened(settings):
            pass  # what is wrong with the database is said here, in a sentence
    environ = {name: value for name, value in os.environ.items() if not name.startswith(config.ENVIRONMENT)}
    arguments = [sys.executable, "-m", "gunicorn", "--config", "python:repo_server.gunicorn_conf"]
    os.execve(sys.executable, arguments, environ | settings.environment())  # noqa: S606 - no shell is meant


@main.group("api-key")
def api_key() -> None:
    """Keys for people and programs."""


@api_key.command("create")
@_where
@_json
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True)
@click.option("--name", required=True, help="Whose key it is; it appears in the log.")
def api_key_create(state_dir: Path | None, file: Path | None, as_json: bool, role: str, name: str) -> None:
    """Make a key; its secret is shown once."""
    with _sentences(), _opened(config.load({"state_dir": state_dir}, os.environ, file)) as db:
        tables = db.tables()
        secret = db.write(lambda _: credentials.create_api_key(tables, name, Role(role), _WHO, times.utc_now()))
    _show({"api_key": secret, "name": name, "role": role}, as_json)


@main.group("enroll-token")
def enroll_token() -> None:
    """Tokens with which devices register."""


@enroll_token.command("create")
@_where
@_json
@click.option("--name", default="devices", show_default=True)
@click.option("--uses", type=click.IntRange(min=1), help="How many devices may register [default: any number].")
@click.option("--expires", type=_Duration(), help="For how long, e.g. 30m, 12h, 7d [default: for ever].")
def enroll_token_create(
    *, state_dir: Path | None, file: Path | None, as_json: bool, name: str, uses: int | None, expires: timedelta | None
) -> None:
    """Make an enrollment token; its secret is shown once."""
    now = times.utc_now()
    until = now + expires if expires is not None else None
    with _sentences(), _opened(config.load({"state_dir": state_dir}, os.environ, file)) as db:
        tables = db.tables()
        secret = db.write(
            lambda _: credentials.create_enrollment_token(tables, name, _WHO, now, uses_allowed=uses, expires_at=until)
        )
    shown = {
        "enrollment_token": secret,
        "name": name,
        "uses": uses,
        "expires_at": times.render(until) if until else None,
    }
    _show(shown, as_json)


@main.command("devices")
@_where
@_json
def list_devices(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the devices."""
    with _sentences():
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        with _opened(settings) as db:
            now = times.utc_now()
            found = _all(
                wire.DeviceQuery(limit=1_000),
                lambda query: devices.list_page(db.connection(), query, now, settings.online_for),
            )
    _show_list(found, ("id", "hostname", "channel", "installed", "active", "online", "last_seen_at"), as_json)


@main.command("updates")
@_where
@_json
def list_updates(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """List the updates, the newest first."""
    with _sentences(), _opened(config.load({"state_dir": state_dir}, os.environ, file)) as db:
        found = _all(wire.UpdateQuery(limit=1_000), lambda query: updates.list_page(db.connection(), query))
    _show_list(found, ("id", "name", "version", "channel", "urgency", "state", "announced_at"), as_json)


_Q = TypeVar("_Q", bound=wire.PageQuery)
_A = TypeVar("_A", bound=answers.Answer)


def _all(query: _Q, fetch: Callable[[_Q], Rows[_A]]) -> list[dict[str, Any]]:
    """Every item of a paged list."""
    found: list[dict[str, Any]] = []
    while True:
        rows = fetch(query)
        found += [item.model_dump(mode="json") for item in rows.items]
        if rows.next_cursor is None:
            return found
        query = query.model_copy(update={"cursor": rows.next_cursor})


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors as one sentence and exit status 1."""
    try:
        yield
    except RepoServerError as error:
        _fail(str(error))
    except sqlite3.Error as error:
        _fail(f"the database cannot be used: {error}")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}")


@contextmanager
def _opened(settings: config.Settings, *, create: bool = False) -> Iterator[Database]:
    if not create and not settings.database.exists():
        raise ConfigError(f"there is no database in {settings.state_dir}; `repo-server init --state DIR` makes one")
    db = Database(settings.database, busy_timeout_seconds=settings.busy_timeout_seconds)
    try:
        yield db
    finally:
        db.close()


def _fail(sentence: str) -> NoReturn:
    raise click.ClickException(sentence)


def _write_secret(file: Path, secret: str) -> None:
    """A file that only its owner may read, from its first instant on."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(secret + "\n")


def _show(values: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(dict(values)))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")


def _show_list(items: Sequence[Mapping[str, object]], columns: Sequence[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(list(items)))
        return
    rows = [
        list(columns),
        *([str(item[name]) if item[name] is not None else "-" for name in columns] for item in items),
    ]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
