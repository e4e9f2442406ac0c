"""Releases as their builder sees them: versions and numbers, nothing about a home."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter

from repo_server import answers
from repo_server.grant import offered
from repo_server.lifecycle import FINAL
from repo_server.store import devices, updates
from repo_server.store.reading import snapshot
from repo_server.versions import compare

_FINAL = ", ".join(f"'{status}'" for status in sorted(FINAL))
_DEVICES = f"devices WHERE assistant = :name AND state <> '{devices.DECOMMISSIONED}'"
# A device counts once for a version that it both has installed and runs.
_HAVE = f"""SELECT version, debian, architecture, count(*) AS devices FROM (
 SELECT id, debian, architecture, installed AS version FROM {_DEVICES} AND installed IS NOT NULL
 UNION SELECT id, debian, architecture, active FROM {_DEVICES} AND active IS NOT NULL
) GROUP BY 1, 2, 3"""  # noqa: S608 - our own words
_ON_THE_WAY = f"""SELECT u.version, d.debian, d.architecture, d.installed, d.active, count(*) AS devices
 FROM updates AS u JOIN device_updates AS du ON du.update_id = u.id JOIN devices AS d ON d.id = du.device_id
 WHERE u.name = :name AND du.status NOT IN ({_FINAL}) AND d.state <> '{devices.DECOMMISSIONED}'
 GROUP BY 1, 2, 3, 4, 5"""  # noqa: S608 - our own words


def of(connection: sqlite3.Connection, name: str, version: str | None = None) -> answers.Releases:
    """All of one assistant, from one state of the database; with a version only its updates, whole."""
    with snapshot(connection):
        rows = connection.execute("SELECT * FROM updates WHERE name = ? ORDER BY id DESC", (name,)).fetchall()
        in_use = _in_use(connection, name)
        may_get = {
            (channel, version)
            for channel in {row["channel"] for row in rows}
            for version in offered(updates.facts_for(connection, name, channel))
        }
    same = ("id", "version", "channel", "state", "announced_at")
    return answers.Releases(
        name=name,
        updates=[
            answers.ReleaseState(
                **{key: row[key] for key in same}, packages=json.loads(row["packages"]) if version is not None else None
            )
            for row in rows
            if version in {None, row["version"]}
        ],
        in_use=[
            answers.InUse(version=version, debian=debian, architecture=architecture, devices=count)
            for (version, debian, architecture), count in sorted(in_use.items())
        ],
        offered=[answers.Offered(version=version, channel=channel) for channel, version in sorted(may_get)],
    )


def _in_use(connection: sqlite3.Connection, name: str) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for row in connection.execute(_HAVE, {"name": name}):
        found[row["version"], row["debian"], row["architecture"]] += row["devices"]
    for row in connection.execute(_ON_THE_WAY, {"name": name}):
        base = row["installed"] or row["active"]
        # a grant that a device has skipped over has no end, and leads nowhere any more
        if row["version"] != row["active"] and (base is None or compare(row["version"], base) > 0):
            found[row["version"], row["debian"], row["architecture"]] += row["devices"]
    return found
