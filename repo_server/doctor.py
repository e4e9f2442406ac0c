"""What a server needs, looked at one by one, with the command that mends what is wrong. Changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from repo_server import backups, freshness, installed, migrations, package_lists, signing_keys, storage, times
from repo_server.config import Settings
from repo_server.errors import SchemaError
from repo_server.findings import Finding, Level
from repo_server.install import places
from repo_server.store import audit, credentials

AGENT = "pi-hook"
_STALE = timedelta(days=2)
"""The repository is signed anew daily."""
_OLD_COPY = timedelta(days=2)
"""So is the database copied."""
_LATELY = 1_000
"""Entries of the audit log that are looked at where it has to be quick."""
_SCARCE_BYTES = 500 * 1024 * 1024
_SCARCE_SHARE = 0.05
_PUBLISH = f"sudo make -C {places.CHECKOUT} release-agent"
"""Agent and keys: what every repository needs first."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def examine(settings: Settings, now: datetime, around: installed.Around) -> Iterator[Finding]:
    """Every finding, in the order in which one would mend them."""
    yield _state_folder(settings.state_dir)
    yield from _database(settings, now)
    yield _disk(settings.state_dir)
    yield from copies(settings, now)
    yield from _repository(settings, now)
    yield _port(settings)
    yield from installed.examine(settings, around, now)


def at_hand(settings: Settings, connection: sqlite3.Connection, now: datetime) -> Iterator[Finding]:
    """What a server that runs can say of itself at once: it reads no whole database, and asks no port."""
    yield _state_folder(settings.state_dir)
    yield _admin_key(connection, now)
    yield _clock(connection, now, _LATELY)
    yield _disk(settings.state_dir)
    yield from copies(settings, now)


def copies(settings: Settings, now: datetime) -> Iterator[Finding]:
    """How old the newest copy of the database is, where the settings say where copies are."""
    folder, check = settings.backup_dir, "backup"
    if folder is None:
        return
    again = "sudo systemctl start pi-ota-backup; sudo systemctl enable --now pi-ota-backup.timer"
    try:
        newest = backups.newest(folder)
    except OSError as error:
        yield Finding(check, Level.WARN, f"{folder}: {error.strerror}", installed.AGAIN)
        return
    if newest is None:
        yield Finding(check, Level.WARN, f"there is no copy of the database in {folder}", again)
    elif now - newest > _OLD_COPY:
        yield Finding(check, Level.WARN, f"the newest copy in {folder} is of {times.render(newest)}", again)
    else:
        yield Finding(check, Level.OK, f"the database was copied at {times.render(newest)}")


def repository(settings: Settings) -> Iterator[Finding]:
    """What is to be said of the published repository as a whole; of suites and keys see ``suite``, ``signing_key``."""
    folder, check = settings.repository, "repository"
    if not folder.is_dir():
        mend = f"{_PUBLISH}; or name aptly's public folder with repository_dir"
        yield Finding(check, Level.WARN, f"{folder} is not there: nothing is published yet", mend)
    elif not os.access(folder, os.R_OK | os.X_OK):
        yield Finding(
            check,
            Level.FAIL,
            f"{folder} cannot be read",
            f"sudo usermod --append --groups {places.BUILDER} {places.SERVER}; sudo systemctl restart pi-ota-server",
        )
    elif next(freshness.suites(folder), None) is None:
        yield Finding(check, Level.WARN, f"nothing is published in {folder} yet", _PUBLISH)
    elif not signing_keys.published(folder):
        words = "no package with the fleet's keys is published, so they cannot be changed or extended on devices"
        yield Finding("signing keys", Level.WARN, words, "pkgbuild keys publish")


def _state_folder(folder: Path) -> Finding:
    check = "state folder"
    if not folder.is_dir():
        return Finding(check, Level.FAIL, f"{folder} is not there", f"repo-server init --state {folder}")
    found = folder.stat()
    if found.st_mode & _OTHERS:
        words = f"{folder} is open to other users ({stat.filemode(found.st_mode)})"
        return Finding(check, Level.FAIL, words, f"sudo chmod 700 {folder}")
    if found.st_uid != os.geteuid():
        words = f"{folder} belongs to another user (id {found.st_uid})"
        return Finding(check, Level.WARN, words, "run this as the user that the server runs as, with sudo -u")
    return Finding(check, Level.OK, f"{folder} is the server's alone")


def _database(settings: Settings, now: datetime) -> Iterator[Finding]:
    file = settings.database
    if not file.exists():
        mend = f"repo-server init --state {settings.state_dir}"
        yield Finding("database", Level.FAIL, f"there is no database in {settings.state_dir}", mend)
        return
    yield _integrity(file)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            schema = _schema(connection)
            yield schema
            if schema.level is Level.OK:  # in another one nothing need be where it is looked for
                yield _admin_key(connection, now)
                yield _clock(connection, now)
    except sqlite3.Error as error:
        words = f"{file} cannot be used: {error}"
        yield Finding("database", Level.FAIL, words, "repo-server restore, from the newest backup")


def _integrity(file: Path) -> Finding:
    found = storage.problems(file)
    if found:
        return Finding(
            "database", Level.FAIL, f"{file} is damaged: {found[0]}", "repo-server restore, from the newest backup"
        )
    return Finding("database", Level.OK, f"{file} is whole")


def _schema(connection: sqlite3.Connection) -> Finding:
    try:
        missing = migrations.missing(connection)
    except SchemaError as error:
        return Finding("schema", Level.FAIL, str(error))
    if missing:
        words = f"it was written by an older repo-server; {len(missing)} steps will be done at the next start"
        return Finding("schema", Level.WARN, words, "sudo systemctl restart pi-ota-server")
    return Finding("schema", Level.OK, "it is this program's")


def _admin_key(connection: sqlite3.Connection, now: datetime) -> Finding:
    count = credentials.admin_keys(connection, now)
    if count == 0:
        mend = "repo-server api-key create --role admin --name NAME"
        return Finding("admin key", Level.FAIL, "there is no valid key with the role admin", mend)
    return Finding("admin key", Level.OK, f"{count} valid")


def _clock(connection: sqlite3.Connection, now: datetime, among: int = -1) -> Finding:
    """Against what this server itself has written: grants and deadlines go by it."""
    newest = audit.newest_at(connection, among)
    if newest is not None and newest > now + timedelta(minutes=1):
        words = (
            f"this machine's clock says {times.render(now)}, but the audit log has an entry of {times.render(newest)}"
        )
        return Finding("clock", Level.FAIL, words, "sudo timedatectl set-ntp true")
    return Finding("clock", Level.OK, f"it is {times.render(now)}, not before what was written last")


def _disk(folder: Path) -> Finding:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Finding("disk", Level.FAIL, f"{folder}: {error.strerror}")
    words = f"{usage.free // 1_048_576} MiB of {usage.total // 1_048_576} are free for {folder}"
    if usage.free < _SCARCE_BYTES or usage.free < usage.total * _SCARCE_SHARE:
        level = Level.FAIL if usage.free < _SCARCE_BYTES // 10 else Level.WARN
        return Finding("disk", level, words, "make room; `repo-server prune` removes old heartbeats")
    return Finding("disk", Level.OK, words)


def _repository(settings: Settings, now: datetime) -> Iterator[Finding]:
    whole = list(repository(settings))
    found = list(freshness.suites(settings.repository)) if all(one.check != "repository" for one in whole) else []
    yield from (suite(one, now) for one in found)
    yield from whole
    yield from (signing_key(one, now) for one in signing_keys.published(settings.repository) if found)
    if found and not any(package_lists.newest(one, AGENT) for one in package_lists.indexes(settings.repository)):
        yield Finding("agent", Level.WARN, f"no {AGENT} is published, so a new Pi cannot fetch it here", _PUBLISH)


def signing_key(key: signing_keys.SigningKey, now: datetime) -> Finding:
    """Until when one key is good."""
    check, name = f"{key.role} key", f"{key.fingerprint[-16:]}"
    mend = f"pkgbuild keys extend {key.role}; pkgbuild keys publish"
    if key.expires is None:
        return Finding(check, Level.OK, f"{name} never expires")
    if key.expires - now > signing_keys.AHEAD:
        return Finding(check, Level.OK, f"{name} is good until {times.render(key.expires)}")
    if key.expires > now:
        words = f"{name} expires at {times.render(key.expires)}, in {(key.expires - now).days} days"
        return Finding(check, Level.WARN, words, mend)
    # devices do not look at the end of a builder key; only the builder cannot sign with it any more
    grave = key.role == signing_keys.ARCHIVE
    words = f"{name} has expired at {times.render(key.expires)}"
    words += "; devices refuse the repository" if grave else ""
    return Finding(check, Level.FAIL if grave else Level.WARN, words, mend)


def suite(published: freshness.Suite, now: datetime) -> Finding:
    """How old the signature of one suite is."""
    check = f"repository {published.name}"
    again = "pkgbuild resign; sudo systemctl enable --now pi-ota-resign.timer"
    refused = published.refused_from
    if published.date is None or refused is None:
        return Finding(check, Level.FAIL, "its InRelease does not say when it was signed", again)
    if published.valid_until is not None and published.valid_until <= now:
        return Finding(
            check, Level.FAIL, f"it is not valid any more since {times.render(published.valid_until)}", again
        )
    signed = f"it was signed at {times.render(published.date)}"
    if refused <= now:
        return Finding(check, Level.FAIL, f"{signed}; devices refuse it since {times.render(refused)}", again)
    if now - published.date > _STALE:
        return Finding(
            check, Level.WARN, f"{signed}; devices take it for a frozen copy from {times.render(refused)} on", again
        )
    return Finding(check, Level.OK, signed)


def _port(settings: Settings) -> Finding:
    """Whether the port is free, or a server answers there."""
    where = f"{settings.host} port {settings.port}"
    target = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - that is what is told apart
    try:
        with socket.create_connection((target, settings.port), timeout=3) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = connection.recv(64)
    except ConnectionRefusedError:
        return Finding("port", Level.WARN, f"nobody listens on {where}", "sudo systemctl start pi-ota-server")
    except OSError as error:
        return Finding("port", Level.FAIL, f"{where} does not answer: {error}", "sudo journalctl -u pi-ota-server")
    if not answer.startswith(b"HTTP/1.1 200"):
        return Finding("port", Level.FAIL, f"something else listens on {where}", "sudo ss -lntp says what it is")
    return Finding("port", Level.OK, f"a server answers on {where}")
