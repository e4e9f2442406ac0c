"""The fleet in numbers: how it was, and counts that are too large to be counted whenever somebody looks."""

from __future__ import annotations

import sqlite_utils


def history_and_counts(db: sqlite_utils.Database) -> None:
    """A sample of the fleet for each hour, counts that triggers keep, and what tells who needs attention.

    How many devices are at which status of an update grows with every release, as finished ones stay: so the database
    keeps the count with each change, in the same transaction. So does it with how many devices an update is for.
    """
    for statement in (*_HISTORY, *_STATUSES, *_AUDIENCE, *_SINCE, *_INDEXES):
        db.conn.execute(statement)


_HISTORY = (
    # ``hour``: whole hours since 1970. There is one sample an hour, whatever becomes of the server and its clock.
    """CREATE TABLE fleet_samples (hour INTEGER PRIMARY KEY, at TEXT NOT NULL, online INTEGER NOT NULL,
        late INTEGER NOT NULL, lost INTEGER NOT NULL, pending INTEGER NOT NULL, held INTEGER NOT NULL,
        versions TEXT NOT NULL, other_versions INTEGER NOT NULL) STRICT""",
)

_STATUSES = (
    """CREATE TABLE update_counts (update_id TEXT NOT NULL, status TEXT NOT NULL, devices INTEGER NOT NULL,
        PRIMARY KEY (update_id, status)) STRICT, WITHOUT ROWID""",
    "INSERT INTO update_counts SELECT update_id, status, count(*) FROM device_updates GROUP BY 1, 2",
    """CREATE TRIGGER device_updates_added AFTER INSERT ON device_updates BEGIN
        INSERT INTO update_counts SELECT NEW.update_id, NEW.status, 0
         WHERE NOT EXISTS (SELECT 1 FROM update_counts WHERE update_id = NEW.update_id AND status = NEW.status);
        UPDATE update_counts SET devices = devices + 1 WHERE update_id = NEW.update_id AND status = NEW.status;
    END""",
    """CREATE TRIGGER device_updates_moved AFTER UPDATE OF update_id, status ON device_updates
        WHEN (OLD.update_id, OLD.status) IS NOT (NEW.update_id, NEW.status) BEGIN
        UPDATE update_counts SET devices = devices - 1 WHERE update_id = OLD.update_id AND status = OLD.status;
        INSERT INTO update_counts SELECT NEW.update_id, NEW.status, 0
         WHERE NOT EXISTS (SELECT 1 FROM update_counts WHERE update_id = NEW.update_id AND status = NEW.status);
        UPDATE update_counts SET devices = devices + 1 WHERE update_id = NEW.update_id AND status = NEW.status;
    END""",
    """CREATE TRIGGER device_updates_removed AFTER DELETE ON device_updates BEGIN
        UPDATE update_counts SET devices = devices - 1 WHERE update_id = OLD.update_id AND status = OLD.status;
    END""",
)

_FOLLOWS = ("assistant", "channel", "debian", "architecture")


def _row(which: str) -> str:
    """The row of the audience that a device counts in."""
    return " AND ".join(f"{name} = {which}.{name}" for name in _FOLLOWS)


_KEY = ", ".join(_FOLLOWS)
_OLD, _NEW = (f"{which}.state, " + ", ".join(f"{which}.{name}" for name in _FOLLOWS) for which in ("OLD", "NEW"))
_LEAVES = f"""UPDATE audience_counts SET devices = devices - 1 WHERE {_row("OLD")} AND OLD.state = 'active';
        DELETE FROM audience_counts WHERE {_row("OLD")} AND devices = 0;"""  # noqa: S608
_JOINS = f"""INSERT INTO audience_counts SELECT {", ".join(f"NEW.{name}" for name in _FOLLOWS)}, 0
         WHERE NEW.state = 'active' AND NOT EXISTS (SELECT 1 FROM audience_counts WHERE {_row("NEW")});
        UPDATE audience_counts SET devices = devices + 1 WHERE {_row("NEW")} AND NEW.state = 'active';"""  # noqa: S608 - our own words
_AUDIENCE = (
    f"""CREATE TABLE audience_counts (assistant TEXT NOT NULL, channel TEXT NOT NULL, debian TEXT NOT NULL,
        architecture TEXT NOT NULL, devices INTEGER NOT NULL, PRIMARY KEY ({_KEY})) STRICT, WITHOUT ROWID""",
    f"INSERT INTO audience_counts SELECT {_KEY}, count(*) FROM devices WHERE state = 'active' GROUP BY {_KEY}",  # noqa: S608
    f"""CREATE TRIGGER devices_joined AFTER INSERT ON devices WHEN NEW.state = 'active' BEGIN
        {_JOINS}
    END""",
    f"""CREATE TRIGGER devices_moved AFTER UPDATE OF state, {_KEY} ON devices WHEN ({_OLD}) IS NOT ({_NEW}) BEGIN
        {_LEAVES}
        {_JOINS}
    END""",
    f"""CREATE TRIGGER devices_left AFTER DELETE ON devices WHEN OLD.state = 'active' BEGIN
        {_LEAVES}
    END""",
)

# Written only where they change, which is seldom: the indexes on them cost a heartbeat nothing.
_SINCE = (
    "ALTER TABLE devices ADD COLUMN reboot_required_since TEXT",
    "ALTER TABLE devices ADD COLUMN clock_unsynchronised_since TEXT",
    "UPDATE devices SET reboot_required_since = last_seen_at WHERE reboot_required = 1",
    "UPDATE devices SET clock_unsynchronised_since = last_seen_at WHERE clock_synchronised = 0",
)

_INDEXES = (
    """CREATE INDEX devices_reboot_required_since ON devices (reboot_required_since)
        WHERE reboot_required_since IS NOT NULL""",
    """CREATE INDEX devices_clock_unsynchronised_since ON devices (clock_unsynchronised_since)
        WHERE clock_unsynchronised_since IS NOT NULL""",
    "CREATE INDEX devices_held ON devices (state, id) WHERE hold IS NOT NULL",
    "CREATE INDEX device_updates_stuck ON device_updates (stuck, stuck_at) WHERE stuck IS NOT NULL",
    """CREATE INDEX device_updates_failed ON device_updates (update_id, status, updated_at)
        WHERE status IN ('failed', 'rolled_back')""",
)
