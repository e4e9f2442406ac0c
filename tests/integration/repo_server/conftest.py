"""One real server for each test module, and devices that are registered with it."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from repo_server.ids import uuid7
from tests.support.fleet_bodies import heartbeat, registration, statuses
from tests.support.server import Reply, RunningServer, running_server


@dataclass(frozen=True)
class Fleet:
    """A registered device and the server it speaks to."""

    server: RunningServer
    id: str
    token: str

    @property
    def path(self) -> str:
        return f"/api/v1/devices/{self.id}"

    def beat(self, *arguments: Any, **given: Any) -> Reply:
        return self.server.request(
            "POST", f"{self.path}/heartbeat", body=heartbeat(*arguments, **given), token=self.token
        )

    def report(self, update: str, *each: dict[str, Any]) -> Reply:
        return self.server.request(
            "POST", f"{self.path}/updates/{update}/status", body=statuses(*each), token=self.token
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def enrolled(server: RunningServer) -> Fleet:
    """A new device on a channel of its own, so that tests do not see each other's updates."""
    one = Fleet(server, uuid7(datetime.now(UTC)), uuid.uuid4().hex)
    body = registration(id=one.id, token=one.token, channel=f"channel-{one.id}")
    answer = server.request("POST", "/api/v1/devices/", body=body, token=server.secrets["enrollment_token"])
    assert answer.status == 201, answer.content
    assert hashlib.sha256(one.token.encode()).hexdigest() == body["token_sha256"]
    return one


@pytest.fixture
def device(server: RunningServer) -> Fleet:
    """A new device; see ``enrolled``."""
    return enrolled(server)


def dump(server: RunningServer) -> list[str]:
    """Everything in the running server's database."""
    connection = sqlite3.connect(server.database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()
