"""The line that each request leaves: how many bytes were sent is what downloads are counted by."""

from __future__ import annotations

import io
import json
import logging
import os
import sys

import pytest

from repo_server import logs
from tests.support.fleet_bodies import DEVICE, TOKEN, heartbeat
from tests.unit.repo_server.conftest import Service

FILE = "/repo/trixie/dists/stable/InRelease"


@pytest.fixture
def published(service: Service) -> Service:
    file = service.settings.repository / FILE.removeprefix("/repo/")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 1234)
    os.utime(file, (1_700_000_000, 1_700_000_000))  # of one just written no part is sent, only the whole
    return service


@pytest.mark.parametrize(
    ("method", "headers", "status", "size"),
    [
        ("GET", {}, 200, "1234B"),
        ("GET", {"Range": "bytes=0-99"}, 206, "100B"),
        ("HEAD", {}, 200, "0B"),
    ],
)  # fmt: skip
def test_the_line_holds_the_bytes_sent(
    published: Service,
    caplog: pytest.LogCaptureFixture,
    *,
    method: str,
    headers: dict[str, str],
    status: int,
    size: str,
) -> None:
    with caplog.at_level(logging.INFO):
        answer = published.request(method, FILE, key=published.key("builder"), headers=headers)
    answer.close()  # the file that is sent
    assert answer.status_code == status
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{method} {FILE} {status} {size} ")


def test_an_error_is_counted_as_well(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answer = service.request("GET", "/api/v1/nothing")
    (line,) = [record.getMessage() for record in caplog.records]
    assert f" 404 {len(answer.data)}B " in line


def test_as_json_each_field_is_a_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    written, log = io.StringIO(), logging.getLogger("repo_server")
    before = (list(log.handlers), log.propagate, log.level)
    monkeypatch.setattr(sys, "stderr", written)
    try:
        logs.configure(logs.JSON)
        service.request("GET", f"/api/v1/devices/{DEVICE}", key=service.key("viewer"))
        log.info("said %s", "otherwise")
    finally:
        log.handlers[:], log.propagate = before[:2]
        log.setLevel(before[2])
    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert first == {
        "time": first["time"], "level": "info", "method": "GET", "path": f"/api/v1/devices/{DEVICE}",
        "route": "/api/v1/devices/<uuid:device_id>", "status": 404, "bytes": first["bytes"],
        "milliseconds": first["milliseconds"], "who": "key:test%20viewer", "client": "127.0.0.1",
        "request": first["request"],
    }  # fmt: skip
    assert (second["message"], second["level"]) == ("said otherwise", "info")
    assert second["time"].endswith("Z")


@pytest.mark.parametrize(
    ("sent", "kept"), [("ci-42.a_B", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb=c", False)]
)
def test_a_request_is_known_by_the_clients_own_id_where_it_fits(
    service: Service, caplog: pytest.LogCaptureFixture, *, sent: str, kept: bool
) -> None:
    with caplog.at_level(logging.INFO):
        answer = service.request("GET", "/healthz", headers={"X-Request-ID": sent})
    (line,) = [record.getMessage() for record in caplog.records]
    assert (f"request={sent}" in line) is kept
    assert f"request={answer.headers['X-Request-ID']}" in line
    assert "X-Request-ID" not in service.request("GET", "/healthz").headers


def test_a_failure_is_found_by_the_id_that_the_client_was_told(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise ZeroDivisionError("on purpose")

    service.app.view_functions["health.healthz"] = fails  # type: ignore[assignment] # it does not come to an answer
    with caplog.at_level(logging.INFO):
        answer = service.request("GET", "/healthz", headers={"X-Request-ID": "the-one"})
    (line,) = [record.getMessage() for record in caplog.records]
    assert answer.status_code == 500
    assert "the-one" in answer.get_json()["error"]["message"]
    assert "request=the-one ZeroDivisionError: 'on purpose' at test_logs.py" in line


def test_no_secret_is_ever_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever a client puts a secret by the rules, and in a few places where it does not belong."""
    key, token, guessed = service.key("admin"), service.enrollment_token(), "pik_guessed_secret"
    with caplog.at_level(logging.DEBUG):
        service.register()
        service.beat("1.0.0")
        service.request("GET", "/api/v1/devices/", key=key)
        service.request("GET", "/api/v1/devices/", key=guessed)
        service.request("GET", f"/api/v1/devices/?key={key}", key=key)
        service.request("POST", "/api/v1/devices/", {"id": key}, token=token)
        service.request("POST", f"/api/v1/devices/{DEVICE}/heartbeat", heartbeat(mood=TOKEN), token="wrong" + TOKEN)
        service.request("GET", "/repo/x", auth=(DEVICE, TOKEN))
        service.request("GET", "/healthz", headers={"X-Request-ID": key + " ", "Cookie": f"session={key}"})
    lines = "\n".join(record.getMessage() + str(getattr(record, "fields", "")) for record in caplog.records)
    assert len(caplog.records) >= 9
    for secret in (key, token, TOKEN, guessed):
        assert secret not in lines
