"""Releases as their builder sees them: versions and numbers, nothing about a home."""

from __future__ import annotations

import sqlite3

from repo_server import answers
from repo_server.grant import offered
from repo_server.lifecycle import FINAL
from repo_server.store import devices, updates
from repo_server.store.reading import snapshot

_FINAL = ", ".join(f"'{status}'" for status in sorted(FINAL))
_DEVICES = f"devices WHERE assistant = :name AND state <> '{devices.DECOMMISSIONED}'"
# A device counts once for a version that it has installed, runs, and is on its way to.
_IN_USE = f"""SELECT version, debian, architecture, count(*) AS devices FROM (
 SELECT id, debian, architecture, installed AS version FROM {_DEVICES} AND installed IS NOT NULL
 UNION SELECT id, debian, architecture, active FROM {_DEVICES} AND active IS NOT NULL
 UNION SELECT d.id, d.debian, d.architecture, u.version FROM updates AS u
 JOIN device_updates AS du ON du.update_id = u.id JOIN devices AS d ON d.id = du.device_id
 WHERE u.name = :name AND du.status NOT IN ({_FINAL}) AND d.state <> '{devices.DECOMMISSIONED}'
) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""  # noqa: S608 - our own words


def of(connection: sqlite3.Connection, name: str) -> answers.Releases:
    """All of one assistant, from one state of the database."""
    with snapshot(connection):
        rows = connection.execute("SELECT * FROM updates WHERE name = ? ORDER BY id DESC", (name,)).fetchall()
        in_use = connection.execute(_IN_USE, {"name": name}).fetchall()
        may_get = {
            version
            for channel in {row["channel"] for row in rows}
            for version in offered(updates.facts_for(connection, name, channel))
        }
    same = ("id", "version", "channel", "state", "announced_at")
    return answers.Releases(
        name=name,
        updates=[answers.ReleaseState(**{key: row[key] for key in same}) for row in rows],
        in_use=[answers.InUse(**dict(row)) for row in in_use],
        offered=sorted(may_get),
    )
