"""The schema, as ordered named steps. A step is never changed once released; the next one changes what it made.

The steps stand by subject in the modules of this package, and in their order below: a new one goes to the end.
"""

from __future__ import annotations

import sqlite3

import sqlite_utils
from sqlite_utils.migrations import Migrations

from repo_server.errors import SchemaError
from repo_server.migrations import credentials, devices, fleet, presence, search, sessions, updates

_steps = Migrations("repo_server")
for _name, _step in (
    ("0001_devices", devices.devices),
    ("0002_updates", updates.updates),
    ("0003_credentials_and_audit", credentials.credentials_and_audit),
    ("0004_reboot_required", devices.reboot_required),
    ("0005_keys_tokens_and_audit", credentials.expiry_and_presets),
    ("0006_device_identity", devices.identity),
    ("0007_rollouts", updates.rollouts),
    ("0009_presence_and_chained_heartbeats", presence.presence),
    ("0010_indexes_of_lists_and_counts", devices.indexes),
    ("0011_sessions", sessions.sessions),
    ("0012_fleet_history_and_counts", fleet.history_and_counts),
    ("0013_names_of_devices", search.device_names),
    ("0014_devices_of_an_update_by_status", updates.devices_by_status),
):
    _steps(name=_name)(_step)


def migrate(db: sqlite_utils.Database) -> None:
    """Bring the database to this program's schema; all pending steps and their records commit together.

    Raises ``SchemaError`` where a newer program has written it.
    """
    refuse_newer(db)
    if not _steps.pending(db):
        return
    db.conn.execute("BEGIN IMMEDIATE")  # two programs that start at once: the second waits and finds nothing to do
    try:
        refuse_newer(db)
        _steps.apply(db)
        db.conn.execute("COMMIT")
    except BaseException:
        if db.conn.in_transaction:
            db.conn.execute("ROLLBACK")
        raise


def applied(db: sqlite_utils.Database) -> list[str]:
    """The names of the steps that the database has, in order."""
    return [step.name for step in _steps.applied(db)]


def missing(connection: sqlite3.Connection) -> list[str]:
    """The names of the steps that the database does not have yet; writes nothing.

    Raises ``SchemaError`` where a newer program has written it.
    """
    rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (_steps.name,))
    has, known = [row[0] for row in rows], _known_names()
    _refuse([name for name in has if name not in known])
    return [name for name in known if name not in has]


def refuse_newer(db: sqlite_utils.Database) -> None:
    """Raises ``SchemaError`` where a newer program has written the database."""
    known = {step.name for step in _steps.pending(db)} | set(_known_names())
    _refuse([name for name in applied(db) if name not in known])


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise SchemaError(
            f"the database was written by a newer repo-server (it has the step {unknown[0]!r}); "
            "install that version again, or restore a backup made by this one"
        )


def _known_names() -> list[str]:
    empty = sqlite_utils.Database(memory=True)
    try:
        return [step.name for step in _steps.pending(empty)]
    finally:
        empty.close()
