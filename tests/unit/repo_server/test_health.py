"""Ready is who can write the database and read the repository."""

from __future__ import annotations

import os

import pytest

from tests.unit.repo_server.conftest import Service


def test_a_server_that_can_work_is_ready_also_before_anything_is_published(service: Service) -> None:
    assert not service.settings.repository.exists()
    before = service.dump()
    assert service.request("GET", "/readyz").get_json() == {"status": "ready"}
    assert service.dump() == before


def test_a_database_that_cannot_be_written_makes_it_unready_but_not_unhealthy(service: Service) -> None:
    service.db._writer.close()
    answer = service.request("GET", "/readyz")
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (503, "unavailable")
    assert "repo-server doctor" in answer.get_json()["error"]["message"]
    assert service.request("GET", "/healthz").status_code == 200


def test_a_repository_that_cannot_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.settings.repository.mkdir()
    assert service.request("GET", "/readyz").status_code == 200
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may be run by root, who can read everything
    assert service.request("GET", "/readyz").status_code == 503
