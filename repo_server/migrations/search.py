"""What devices are searched by."""

from __future__ import annotations

import sqlite_utils


def device_names(db: sqlite_utils.Database) -> None:
    """The names of all devices, and which of them hold which three characters.

    In a table of their own: the trigrams have to be told of every update of the table that they are of, and each
    heartbeat updates the devices'. Its rows have numbers that stay; those of the devices may change when the file is
    compacted.
    """
    for statement in _STATEMENTS:
        db.conn.execute(statement)


_STATEMENTS = (
    """CREATE TABLE device_names (number INTEGER PRIMARY KEY, device_id TEXT NOT NULL UNIQUE REFERENCES devices (id),
        text TEXT NOT NULL) STRICT""",
    """INSERT INTO device_names (device_id, text)
        SELECT id, coalesce(name, '') || char(10) || hostname FROM devices ORDER BY id""",
    """CREATE TRIGGER devices_named AFTER INSERT ON devices BEGIN
        INSERT INTO device_names (device_id, text)
        VALUES (NEW.id, coalesce(NEW.name, '') || char(10) || NEW.hostname); END""",
    """CREATE TRIGGER devices_renamed AFTER UPDATE OF name, hostname ON devices
        WHEN OLD.name IS NOT NEW.name OR OLD.hostname IS NOT NEW.hostname BEGIN
        UPDATE device_names SET text = coalesce(NEW.name, '') || char(10) || NEW.hostname
        WHERE device_id = NEW.id; END""",
    """CREATE TRIGGER devices_unnamed BEFORE DELETE ON devices BEGIN
        DELETE FROM device_names WHERE device_id = OLD.id; END""",
    """CREATE VIRTUAL TABLE device_trigrams USING fts5 (text, content='device_names', content_rowid='number',
        tokenize='trigram')""",
    "INSERT INTO device_trigrams (device_trigrams) VALUES ('rebuild')",
    """CREATE TRIGGER device_names_added AFTER INSERT ON device_names BEGIN
        INSERT INTO device_trigrams (rowid, text) VALUES (NEW.number, NEW.text); END""",
    """CREATE TRIGGER device_names_changed AFTER UPDATE ON device_names BEGIN
        INSERT INTO device_trigrams (device_trigrams, rowid, text) VALUES ('delete', OLD.number, OLD.text);
        INSERT INTO device_trigrams (rowid, text) VALUES (NEW.number, NEW.text); END""",
    """CREATE TRIGGER device_names_removed AFTER DELETE ON device_names BEGIN
        INSERT INTO device_trigrams (device_trigrams, rowid, text) VALUES ('delete', OLD.number, OLD.text); END""",
    # The order of the names that people see.
    "CREATE INDEX devices_by_name ON devices (state, coalesce(name, hostname) COLLATE NOCASE, id)",
)
