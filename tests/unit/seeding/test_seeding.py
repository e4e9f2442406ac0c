"""The seeded fleet: what it holds for those who look at it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from repo_server.lifecycle import FINAL, STARTED
from tests.seeding import NOW, Seeded, seed
from tests.seeding.devices import ODDITIES

SIZE = 1_200


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    return seed(tmp_path_factory.mktemp("seeded") / "state", SIZE)


def rows(state: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(state / "repo_server.db")) as connection:
        return connection.execute(query).fetchall()


def test_the_same_number_makes_the_same_fleet(seeded: Seeded, tmp_path: Path) -> None:
    """Ids too: what a screenshot shows is there again next time."""
    again = seed(tmp_path / "state", SIZE)
    for table in ("devices", "presence", "updates", "device_updates", "heartbeats", "fleet_samples"):
        assert rows(seeded.state, f"SELECT * FROM {table}") == rows(again.state, f"SELECT * FROM {table}")


def test_every_reference_leads_somewhere(seeded: Seeded) -> None:
    assert rows(seeded.state, "PRAGMA foreign_key_check") == []
    assert rows(seeded.state, "PRAGMA integrity_check") == [("ok",)]


def test_a_device_is_in_no_update_before_it_is_registered(seeded: Seeded) -> None:
    early = "SELECT count(*) FROM device_updates JOIN devices ON id = device_id WHERE granted_at < registered_at"
    assert rows(seeded.state, early) == [(0,)]


def test_there_is_one_device_of_each_oddity(seeded: Seeded) -> None:
    assert set(seeded.oddities) == set(ODDITIES)
    names = dict(rows(seeded.state, "SELECT id, name FROM devices"))
    assert names[seeded.oddities["script"]] == "<script>alert(1)</script>"


def test_the_newest_update_is_in_the_middle_of_it(seeded: Seeded) -> None:
    """Devices that have finished, that have started, and that wait."""
    assert seeded.with_status("2.3.1", *FINAL)
    assert seeded.with_status("2.3.1", *STARTED)
    assert seeded.with_status("2.3.1", "deferred")
    states = dict(rows(seeded.state, "SELECT version, state FROM updates"))
    assert set(states.values()) == {"active", "paused", "halted", "withdrawn"}


def test_heartbeats_are_chained_from_the_device(seeded: Seeded) -> None:
    chained = rows(
        seeded.state,
        "WITH RECURSIVE chain (id, previous_id) AS (SELECT h.id, h.previous_id FROM devices d JOIN heartbeats h"
        " ON h.id = d.last_heartbeat_id UNION ALL SELECT h.id, h.previous_id FROM chain JOIN heartbeats h"
        " ON h.id = chain.previous_id) SELECT count(*) FROM chain",
    )
    assert chained == rows(seeded.state, "SELECT count(*) FROM heartbeats")
    assert chained[0][0] > 5_000


def test_quiet_devices_are_there_to_be_acted_upon(seeded: Seeded) -> None:
    assert len(seeded.quiet()) > SIZE * 0.85
    assert seeded.now == NOW
