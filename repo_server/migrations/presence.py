"""When a device's silence counts, and the history of its heartbeats."""

from __future__ import annotations

import sqlite_utils


def presence(db: sqlite_utils.Database) -> None:
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
