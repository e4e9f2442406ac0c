"""The application on a temporary database, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from repo_server import steering
from repo_server.app import create_app
from repo_server.config import Settings
from repo_server.context import KEY
from repo_server.db import Database
from repo_server.roles import Role
from repo_server.store import credentials
from tests.support.fleet_bodies import DEVICE, TOKEN, announcement, heartbeat, registration, statuses

TLS = "https://updates.example.org/"
"""Where browsers find the server."""


@dataclass(frozen=True)
class SignedIn:
    """What a browser has after it has signed in, and sends where nothing else is said."""

    cookie: str
    """NAME=VALUE."""
    csrf_token: str


@dataclass
class Service:
    """What the tests speak to."""

    app: Flask
    db: Database
    settings: Settings
    now: datetime = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    started: datetime = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)

    def key(self, role: str, expires_in: timedelta | None = None) -> str:
        tables = self.db.tables()
        expires_at = self.now + expires_in if expires_in is not None else None
        return self.db.write(
            lambda _: credentials.create_api_key(
                tables, f"test {role}", Role(role), "test", self.now, expires_at=expires_at
            )
        )

    def revoke(self, secret: str) -> None:
        row = credentials.by_secret(self.db.connection(), credentials.API_KEYS, secret)
        assert row is not None
        assert self.db.write(lambda work: credentials.revoke(work, credentials.API_KEYS, row["id"], self.now))

    def enrollment_token(
        self, uses: int | None = None, expires_in: timedelta | None = None, preset: credentials.Preset | None = None
    ) -> str:
        tables = self.db.tables()
        expires_at = self.now + expires_in if expires_in is not None else None
        return self.db.write(
            lambda _: credentials.create_enrollment_token(
                tables, "test", "test", self.now, uses_allowed=uses, expires_at=expires_at, preset=preset
            )
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        token: str | None = None,
        **more: Any,
    ) -> TestResponse:
        headers = dict(more.pop("headers", {}))
        session: SignedIn | None = more.pop("session", None)
        if session is not None:
            more.setdefault("base_url", TLS)
            headers = {"Cookie": session.cookie, "X-CSRF-Token": session.csrf_token} | headers
        if key is not None:
            headers["X-API-Key"] = key
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            more["json"] = body
        return self.app.test_client(use_cookies=False).open(path, method=method, headers=headers, **more)

    def sign_in(self, key: str, **more: Any) -> SignedIn:
        answer = self.request("POST", "/api/v1/session", key=key, **{"base_url": TLS, **more})
        assert answer.status_code == 201, answer.json
        return SignedIn(answer.headers["Set-Cookie"].partition(";")[0], answer.get_json()["csrf_token"])

    def register(self, preset: credentials.Preset | None = None, **given: Any) -> None:
        token = self.enrollment_token(preset=preset)
        answer = self.request("POST", "/api/v1/devices/", registration(**given), token=token)
        assert answer.status_code == 201, answer.json

    def beat(self, installed: str | None = "1.0.0", device: str = DEVICE, token: str = TOKEN, **given: Any) -> Any:
        path = f"/api/v1/devices/{device}/heartbeat"
        answer = self.request("POST", path, heartbeat(installed, **given), token=token)
        assert answer.status_code == 200, answer.json
        return answer.json

    def announce(self, version: str = "1.1.0", **given: Any) -> str:
        answer = self.request("POST", "/api/v1/updates/", announcement(version, **given), key=self.key("builder"))
        assert answer.status_code == 201, answer.json
        return str(answer.get_json()["id"])

    def report(self, update: str, *each: dict[str, Any], device: str = DEVICE, token: str = TOKEN) -> TestResponse:
        path = f"/api/v1/devices/{device}/updates/{update}/status"
        return self.request("POST", path, statuses(*each), token=token)

    def update(self, update: str) -> Any:
        answer = self.request("GET", f"/api/v1/updates/{update}", key=self.key("viewer"))
        assert answer.status_code == 200, answer.json
        return answer.json

    def steer(self, update: str, verb: str, expect: int = 200) -> Any:
        answer = self.request("POST", f"/api/v1/updates/{update}/{verb}", key=self.key("operator"))
        assert answer.status_code == expect, answer.json
        return answer.json

    def tick(self, **passed: int) -> None:
        """Let time pass, and the server look at what it does; nobody was away."""
        self.now += timedelta(**passed)
        steering.tick(self.db, self.settings, self.now, self.started)

    def dump(self) -> list[str]:
        return list(self.db.connection().iterdump())


@contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    made: list[Service] = []
    app = create_app(settings, lambda: made[0].now)
    db = app.extensions[KEY].db
    made.append(Service(app, db, settings))
    try:
        yield made[0]
    finally:
        db.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(Settings(state_dir=tmp_path / "state", repository_dir=tmp_path / "public")) as one:
        yield one
