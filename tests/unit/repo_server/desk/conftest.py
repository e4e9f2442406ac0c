"""A browser without scripts: it keeps cookies, asks for HTML, and sends forms with the page's token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.repo_server.conftest import TLS, Service

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass
class Browser:
    """Who has signed in, or not."""

    client: FlaskClient
    csrf_token: str = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        return self._open("GET", path, **more)

    def post(self, path: str, form: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        return self._open("POST", path, data={"csrf_token": self.csrf_token} | (form or {}), **more)

    def _open(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Accept": HTML} | dict(more.pop("headers", {}))
        return self.client.open(path, method=method, headers=headers, **{"base_url": TLS, "buffered": True, **more})


@dataclass
class Desk:
    """The pages of one server."""

    service: Service
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, role: str) -> str:
        if role not in self.keys:
            self.keys[role] = self.service.key(role)
        return self.keys[role]

    def nobody(self) -> Browser:
        return Browser(self.service.app.test_client())

    def as_(self, role: str) -> Browser:
        """A browser that has signed in with a key of the role."""
        browser = self.nobody()
        answer = browser.post("/sign-in", {"key": self.key(role)})
        assert answer.status_code == 303, answer.text
        told = browser.get("/api/v1/session", headers={"Accept": "application/json"})
        browser.csrf_token = told.get_json()["csrf_token"]
        return browser


@pytest.fixture
def desk(service: Service) -> Desk:
    return Desk(service)
