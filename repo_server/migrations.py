"""The schema, as ordered named steps. A step is never changed once released; the next one changes what it made."""

from __future__ import annotations

import sqlite3

import sqlite_utils
from sqlite_utils.migrations import Migrations

from repo_server.errors import SchemaError

_steps = Migrations("repo_server")


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


@_steps(name="0001_devices")
def _devices(db: sqlite_utils.Database) -> None:
    db.table("devices").create(
        {
            "id": str,
            "token_sha256": str,
            "state": str,
            "name": str,
            "hostname": str,
            "group_name": str,
            "channel": str,
            "timezone": str,
            "timezone_override": str,
            "assistant": str,
            "agent_version": str,
            "debian": str,
            "architecture": str,
            "model": str,
            "hold": str,
            "enrolled_with": str,
            "registered_at": str,
            "decommissioned_at": str,
            # The last heartbeat:
            "last_seen_at": str,
            "boot_id": str,
            "clock_synchronised": int,
            "uptime_seconds": int,
            "installed": str,
            "active": str,
            "idle_seconds": int,
            "gate_decision": str,
            "gate_reason": str,
            "gate_retry_at": str,
            "update_id": str,
            "update_status": str,
        },
        pk="id",
        not_null={"token_sha256", "state", "hostname", "channel", "timezone", "assistant", "agent_version", "debian",
                  "architecture", "registered_at"},
        strict=True,
    )  # fmt: skip
    db.table("heartbeats").create(
        {
            "id": int,
            "device_id": str,
            "received_at": str,
            "sent_at": str,
            "boot_id": str,
            "clock_synchronised": int,
            "uptime_seconds": int,
            "agent_version": str,
            "installed": str,
            "active": str,
            "idle_seconds": int,
            "gate_decision": str,
            "gate_reason": str,
            "gate_retry_at": str,
            "update_id": str,
            "update_status": str,
        },
        pk="id",
        not_null={"device_id", "received_at"},
        foreign_keys=[("device_id", "devices", "id")],
        strict=True,
    )
    db.table("heartbeats").create_index(["device_id"])


@_steps(name="0002_updates")
def _updates(db: sqlite_utils.Database) -> None:
    db.table("updates").create(
        {
            "id": str,
            "name": str,
            "version": str,
            "channel": str,
            "urgency": str,
            "notes": str,
            "minimum_agent": str,
            "packages": str,
            "state": str,
            "announced_at": str,
            "announced_by": str,
        },
        pk="id",
        not_null={"name", "version", "channel", "urgency", "notes", "packages", "state", "announced_at"},
        strict=True,
    )
    db.table("updates").create_index(["name", "channel", "version"], unique=True)
    db.table("device_updates").create(
        {
            "device_id": str,
            "update_id": str,
            "status": str,
            "reason": str,
            "retry_at": str,
            "detail": str,
            "log_tail": str,
            "sequence": int,
            "urgency": str,
            "granted_at": str,
            "updated_at": str,
        },
        pk=("device_id", "update_id"),
        not_null={"status", "sequence", "urgency", "updated_at"},
        foreign_keys=[("device_id", "devices", "id"), ("update_id", "updates", "id")],
        strict=True,
    )
    db.table("device_updates").create_index(["update_id", "status"])
    db.table("device_update_events").create(
        {
            "id": int,
            "device_id": str,
            "update_id": str,
            "sequence": int,
            "status": str,
            "verdict": str,
            "version": str,
            "reason": str,
            "retry_at": str,
            "detail": str,
            "log_tail": str,
            "at": str,
            "received_at": str,
        },
        pk="id",
        not_null={"device_id", "update_id", "status", "verdict", "at", "received_at"},
        foreign_keys=[("device_id", "devices", "id"), ("update_id", "updates", "id")],
        strict=True,
    )
    # A repeat of an acknowledged status finds itself here. The server's own events have no sequence.
    db.table("device_update_events").create_index(["device_id", "update_id", "sequence"], unique=True)
    _append_only(db, "device_update_events")


@_steps(name="0003_credentials_and_audit")
def _credentials(db: sqlite_utils.Database) -> None:
    db.table("api_keys").create(
        {"id": str, "name": str, "role": str, "secret_sha256": str, "created_at": str, "revoked_at": str},
        pk="id",
        not_null={"name", "role", "secret_sha256", "created_at"},
        strict=True,
    )
    db.table("api_keys").create_index(["secret_sha256"], unique=True)
    db.table("enrollment_tokens").create(
        {
            "id": str,
            "name": str,
            "secret_sha256": str,
            "created_at": str,
            "expires_at": str,
            "uses_allowed": int,
            "uses": int,
            "revoked_at": str,
        },
        pk="id",
        not_null={"name", "secret_sha256", "created_at", "uses"},
        strict=True,
    )
    db.table("enrollment_tokens").create_index(["secret_sha256"], unique=True)
    db.table("audit_log").create(
        {"id": int, "at": str, "who": str, "action": str, "subject": str, "detail": str},
        pk="id",
        not_null={"at", "who", "action", "subject", "detail"},
        strict=True,
    )
    _append_only(db, "audit_log")


@_steps(name="0004_reboot_required")
def _reboot_required(db: sqlite_utils.Database) -> None:
    """Whether the last heartbeat said that the device asks for a restart; null for those from before."""
    for table in ("devices", "heartbeats"):
        db.table(table).add_column("reboot_required", int)


@_steps(name="0005_keys_tokens_and_audit")
def _keys_tokens_and_audit(db: sqlite_utils.Database) -> None:
    """Keys may expire; a token may preset group and channel, ask for approval, or let known devices back in."""
    db.table("api_keys").add_column("expires_at", str)
    for column, kind in {"group_name": str, "channel": str, "approval": int, "recovery": int}.items():
        db.table("enrollment_tokens").add_column(column, kind)
    for column in ("who", "action", "subject"):
        db.table("audit_log").create_index([column, "id"])


@_steps(name="0006_device_identity")
def _device_identity(db: sqlite_utils.Database) -> None:
    """A second token beside the first: one that an operator has to approve, or the next one of a rotation."""
    columns = {
        "pending_token_sha256": str,
        "pending_since": str,
        "pending_enrolled_with": str,
        "next_token_sha256": str,
        "rotation_requested_at": str,
        "boot_overlaps": int,
        "cloned_suspected_at": str,
    }
    for column, kind in columns.items():
        db.table("devices").add_column(column, kind)
    # Few devices are ever in either list.
    for column in ("pending_since", "cloned_suspected_at"):
        db.conn.execute(f"CREATE INDEX devices_{column} ON devices (id) WHERE {column} IS NOT NULL")


@_steps(name="0007_rollouts")
def _rollouts(db: sqlite_utils.Database) -> None:
    """Waves and limits. An update from before has none of it: everybody has it since it was announced."""
    for column, kind in (
        ("rollout", str),  # waves and failure limit, as JSON
        ("waves_opened", str),  # a JSON list of times
        ("dwell_from", str),
        ("stopped_at", str),
        ("halt_reason", str),
        ("expedited_at", str),
        ("accepted_failures", int),
        ("accepted_finished", int),
    ):
        db.table("updates").add_column(column, kind)
    for column in ("stuck", "stuck_at", "expedited_at"):
        db.table("device_updates").add_column(column, str)
    # Looked at every few seconds; few devices are at it at any time.
    db.conn.execute(
        "CREATE INDEX idx_device_updates_started ON device_updates (update_id)"
        " WHERE status IN ('installing', 'activating', 'restarting', 'verifying')"
    )


@_steps(name="0009_presence_and_chained_heartbeats")
def _presence(db: sqlite_utils.Database) -> None:
    """When a device's silence begins to count, and a history to which a heartbeat is only ever appended.

    The deadlines change with every heartbeat and are counted over all devices: in a narrow table of their own both cost
    less than in an index. It has no decommissioned device.

    A heartbeat names the one before it of the same device. An index by device would have to be written at another
    place with every heartbeat and cleared again by every pruning, which is most of what both would cost.
    """
    db.table("devices").add_column("last_heartbeat_id", int)
    db.table("devices").add_column("interval_seconds", int)
    db.conn.execute(
        "UPDATE devices SET interval_seconds = 300,"
        " last_heartbeat_id = (SELECT max(id) FROM heartbeats WHERE device_id = devices.id)"
    )
    db.conn.execute(
        "CREATE TABLE presence (device_id TEXT PRIMARY KEY REFERENCES devices (id), late_at TEXT NOT NULL,"
        " lost_at TEXT NOT NULL) STRICT, WITHOUT ROWID"
    )
    # Of a device that has yet to be heard of, or from before: a quarter of an hour and a day, until its next heartbeat.
    deadlines = (
        "{0}.id, iif({0}.last_seen_at IS NULL, {0}.registered_at,"
        " strftime('%Y-%m-%dT%H:%M:%SZ', {0}.last_seen_at, '+901 seconds')),"
        " strftime('%Y-%m-%dT%H:%M:%SZ', coalesce({0}.last_seen_at, {0}.registered_at), '+86401 seconds')"
    )
    insert = "INSERT INTO presence (device_id, late_at, lost_at) SELECT"
    db.conn.execute(f"{insert} {deadlines.format('devices')} FROM devices WHERE state <> 'decommissioned'")
    db.conn.execute(
        "CREATE TRIGGER devices_registered AFTER INSERT ON devices WHEN NEW.state <> 'decommissioned'"
        f" BEGIN {insert} {deadlines.format('NEW')}; END"
    )
    db.conn.execute(
        "CREATE TRIGGER devices_decommissioned AFTER UPDATE OF state ON devices WHEN NEW.state = 'decommissioned'"
        " BEGIN DELETE FROM presence WHERE device_id = OLD.id; END"
    )
    db.conn.execute(
        "CREATE TRIGGER devices_forgotten BEFORE DELETE ON devices"
        " BEGIN DELETE FROM presence WHERE device_id = OLD.id; END"
    )
    db.conn.execute(
        """CREATE TABLE heartbeats_new (
            id INTEGER PRIMARY KEY,
            device_id TEXT NOT NULL,
            previous_id INTEGER,
            received_at TEXT NOT NULL,
            sent_at TEXT, boot_id TEXT, clock_synchronised INTEGER, uptime_seconds INTEGER, agent_version TEXT,
            installed TEXT, active TEXT, idle_seconds INTEGER, gate_decision TEXT, gate_reason TEXT, gate_retry_at TEXT,
            update_id TEXT, update_status TEXT, reboot_required INTEGER
        ) STRICT"""
    )
    db.conn.execute(
        "INSERT INTO heartbeats_new SELECT id, device_id, lag(id) OVER (PARTITION BY device_id ORDER BY id),"
        " received_at, sent_at, boot_id, clock_synchronised, uptime_seconds, agent_version, installed, active,"
        " idle_seconds, gate_decision, gate_reason, gate_retry_at, update_id, update_status, reboot_required"
        " FROM heartbeats ORDER BY id"
    )
    db.conn.execute("DROP TABLE heartbeats")
    db.conn.execute("ALTER TABLE heartbeats_new RENAME TO heartbeats")


@_steps(name="0010_indexes_of_lists_and_counts")
def _indexes(db: sqlite_utils.Database) -> None:
    """For every filter of the lists, with the key by which they page, and for the numbers of the fleet."""
    for columns in (
        ["state", "id"],
        ["state", "group_name", "id"],
        ["state", "channel", "id"],
        ["state", "active", "id"],
        ["state", "update_status", "id"],
        ["state", "gate_decision", "gate_reason"],
    ):
        db.table("devices").create_index(columns)
    db.table("device_updates").create_index(["update_id", "device_id"])


def _append_only(db: sqlite_utils.Database, table: str) -> None:
    """Nothing recorded is ever changed. Deleting stays possible: what is kept about a home has a limited time."""
    db.conn.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
