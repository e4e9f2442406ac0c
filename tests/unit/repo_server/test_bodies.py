"""Every way in which a body or a request can be wrong, and what is said about it."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from typing import Any

import pytest

from repo_server import answers, wire, wire_identity
from repo_server.errors import kind_of
from tests.support.fleet_bodies import DEVICE, TOKEN, announcement, heartbeat, status, statuses
from tests.unit.repo_server.conftest import Service

PATH = f"/api/v1/devices/{DEVICE}/heartbeat"
JSON = "application/json"


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "kind"),
    [
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", None, 415, "unsupported_media_type"),
        (b"", JSON, 400, "bad_request"),
        (b"not json", JSON, 400, "bad_request"),
        (b"\xff\xfe", JSON, 400, "bad_request"),
        (b"{", JSON, 400, "bad_request"),
        (b"[" * 30_000, JSON, 400, "bad_request"),
        (b'{"a":' * 10_000, JSON, 400, "bad_request"),
        (b"[]", JSON, 400, "bad_request"),
        (b"null", JSON, 400, "bad_request"),
        (b'"text"', JSON, 400, "bad_request"),
        (b"7", JSON, 400, "bad_request"),
        (b"{}", JSON, 422, "invalid"),
        (b" " * 65_537, JSON, 413, "too_large"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_bad_body_gets_the_error_object_and_leaves_one_line(
    service: Service, caplog: pytest.LogCaptureFixture, *, raw: bytes, content_type: str | None, status: int, kind: str
) -> None:
    service.register()
    before = service.dump()
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        answer = service.request("POST", PATH, data=raw, content_type=content_type, token=TOKEN)
    assert answer.status_code == status
    assert set(answer.get_json()["error"]) == {"kind", "message"}
    assert answer.get_json()["error"]["kind"] == kind
    assert service.dump() == before
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"POST {PATH} {status} " in line
    assert f"who=device:{DEVICE}" in line


def change(path: str, value: Any) -> dict[str, Any]:
    body = heartbeat(gate={"decision": "nothing"}, update={"id": DEVICE, "status": "granted"})
    *folders, last = path.split(".")
    inside = body
    for name in folders:
        inside = inside[name]
    inside[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("boot_id", "no uuid"), ("boot_id", 7), ("sent_at", 1774747800), ("sent_at", "2026-03-30"),
        ("sent_at", "2026-03-30 01:30:00Z"), ("sent_at", "2026-02-30T01:30:00Z"),
        ("sent_at", "0001-01-01T00:00:00+14:00"),
        ("sent_at", "2026-03-29T01:30Z"), ("clock_synchronised", "yes"), ("clock_synchronised", 1),
        ("uptime_seconds", -1), ("uptime_seconds", 1.5), ("uptime_seconds", "3"), ("uptime_seconds", 2**53),
        ("uptime_seconds", True), ("uptime_seconds", 1e300), ("uptime_seconds", float("nan")),
        ("uptime_seconds", float("inf")), ("uptime_seconds", -1.0), ("idle_seconds", 0.5), ("idle_seconds", -1),
        ("agent_version", "x" * 129), ("timezone", ""),
        ("timezone", "../etc/passwd"), ("timezone", "Europe/Berlin\n"), ("timezone", None), ("assistant", []),
        ("assistant.installed", "1:0"), ("assistant.name", "UPPER"), ("assistant.mood", "fine"),
        ("gate.decision", "perhaps"), ("gate.reason", "two words"), ("gate.retry_at", "soon"), ("update.id", "x"),
        ("update.status", "happy"), ("a\nb", 1),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_its_value_is_not_repeated(service: Service, path: str, value: Any) -> None:
    service.register()
    before = service.dump()
    answer = service.request("POST", PATH, change(path, value), token=TOKEN)
    assert answer.status_code == 422
    message = answer.get_json()["error"]["message"]
    assert message.split(":")[0] == path.encode("unicode_escape").decode()
    assert "\n" not in message
    if isinstance(value, str) and len(value) > 5:
        assert value not in message
    assert service.dump() == before


def test_many_wrong_fields_are_named_up_to_a_few(service: Service) -> None:
    service.register()
    answer = service.request("POST", PATH, {f"wrong{number}" * 50: 1 for number in range(100)}, token=TOKEN)
    assert answer.status_code == 422
    assert len(answer.get_json()["error"]["message"]) < 1_000
    assert answer.get_json()["error"]["message"].endswith("more")


def announced() -> dict[str, Any]:
    body = announcement("1.1.0", rollout={"failure_limit": {"percent": 5.0, "minimum": 3.0, "count": 4e0}})
    body["rollout"]["waves"] = [{"percent": 5, "dwell_seconds": 3.6e3}, {"percent": 100.0}]
    body["packages"] = [one | {"size": 2048.0} for one in body["packages"]]
    return body


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (wire.Heartbeat, heartbeat(uptime_seconds=3600.0, idle_seconds=-0.0)),
        (wire.StatusBatch, statuses(status(7, "deferred") | {"sequence": 7.0})),
        (wire.Announcement, announced()),
        (wire_identity.EnrollmentTokenRequest, {"name": "x", "uses": 10.0}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_whole_number_is_an_integer_however_it_is_written(shape: type[wire.Body], body: dict[str, Any]) -> None:
    text = json.dumps(body)
    as_integers = re.sub(r": -?(\d+)\.0(?=[,}])", r": \1", text)
    assert as_integers != text
    read = shape.model_validate_json(text)
    assert repr(read) == repr(shape.model_validate_json(as_integers))  # 7.0 == 7, but is not written so


def test_a_time_with_another_offset_is_the_same_instant(service: Service) -> None:
    service.register()
    service.request("POST", PATH, heartbeat(sent_at="2026-03-29t03:30:00.25+02:00"), token=TOKEN)
    kept = service.db.connection().execute("SELECT sent_at FROM heartbeats").fetchone()
    assert kept["sent_at"] == "2026-03-29T01:30:00Z"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404), ("GET", "/api/v1/", 404), ("GET", "/api/v1/devices/no-uuid", 404),
        ("GET", "/api/v1/updates/../fleet", 404), ("PUT", "/api/v1/devices/", 405), ("DELETE", "/", 405),
        ("POST", "/repo/x", 405), ("GET", PATH, 405), ("GET", "/nowhere%0aforged", 404),
    ],
)  # fmt: skip
def test_addresses_and_methods_that_are_not_there(
    service: Service, caplog: pytest.LogCaptureFixture, method: str, path: str, status: int
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = service.request(method, path)
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (status, kind_of(status))
    assert ("Allow" in answer.headers) is (status == 405)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "\n" not in line


def test_a_failure_of_ours_is_one_line_with_the_reference_that_the_client_got(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr("repo_server.store.fleet.summary", fail)
    key = service.key("viewer")
    with caplog.at_level(logging.DEBUG):
        answer = service.request("GET", "/api/v1/fleet", key=key)
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (500, "internal")
    (line,) = [record.getMessage() for record in caplog.records]
    reference = answer.get_json()["error"]["message"].rpartition(" ")[2]
    assert f"request={reference} RuntimeError: 'first\\nsecond' at test_bodies.py:" in line
    assert "\n" not in line
    assert "first" not in answer.get_data(as_text=True)


def test_a_busy_database_is_unavailable_and_no_failure(service: Service) -> None:
    service.register()
    other = sqlite3.connect(service.settings.database, isolation_level=None)
    service.db._writer.execute("PRAGMA busy_timeout = 1")
    other.execute("BEGIN IMMEDIATE")
    try:
        answer = service.request("POST", PATH, heartbeat(), token=TOKEN)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    service.beat()


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "mood=1", "online=perhaps"])
def test_wrong_query_parameters_are_named(service: Service, query: str) -> None:
    answer = service.request("GET", f"/api/v1/devices/?{query}", key=service.key("viewer"))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"].startswith(query.partition("=")[0] + ":")


@pytest.mark.parametrize(
    "shape",
    [wire.Registration, wire.Heartbeat, wire.StatusBatch, wire.Announcement, wire.DeviceChange, answers.HeartbeatAnswer,
     answers.Page[answers.Device], answers.Fleet],
)  # fmt: skip
def test_every_type_can_describe_itself_for_openapi(shape: Any) -> None:
    mode = "serialization" if issubclass(shape, answers.Answer) else "validation"
    described = shape.model_json_schema(mode=mode)
    assert described["additionalProperties"] is False
    assert json.dumps(described)
