"""What is answered ahead of Flask is answered as the view answers it, and everything else is the view's."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from repo_server.express import ROUTE
from repo_server.store import heartbeats as store
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.test_metrics import scrape, value

PATH = f"/api/v1/devices/{DEVICE}/heartbeat"
GOOD = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


@contextmanager
def counting(service: Service) -> Iterator[list[str]]:
    """The addresses that came to Flask."""
    seen: list[str] = []
    inner = service.app.full_dispatch_request

    def dispatch(*given: Any) -> Any:
        from flask import request  # noqa: PLC0415 - the request of then

        seen.append(request.path)
        return inner(*given)

    service.app.full_dispatch_request = dispatch  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        service.app.full_dispatch_request = inner  # type: ignore[method-assign]


def ask(service: Service, *, by_view: bool = False, path: str = PATH, **more: Any) -> TestResponse:
    """A heartbeat, to the whole server or to the view alone."""
    wsgi = type(service.app).wsgi_app.__get__(service.app) if by_view else service.app.wsgi_app
    more.setdefault("data", json.dumps(heartbeat()))
    more.setdefault("headers", GOOD)
    return Client(wsgi).open(path, method=more.pop("method", "POST"), **more)


def same(one: TestResponse, other: TestResponse) -> None:
    assert (one.status_code, one.data) == (other.status_code, other.data)
    assert sorted(one.headers) == sorted(other.headers)


@pytest.fixture
def registered(service: Service) -> Service:
    service.register()
    service.beat()
    return service


def test_a_good_heartbeat_never_comes_to_flask_and_is_answered_as_the_view_does(registered: Service) -> None:
    registered.announce()
    with counting(registered) as seen:
        answer = ask(registered)
        assert seen == []
        same(answer, ask(registered, by_view=True))
        assert seen == [PATH]
    assert answer.get_json()["offer"]["version"] == "1.1.0"


# Sizes and times beside, whatever a device can say of itself is answered alike.
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    installed=st.sampled_from([None, "0.9.0", "1.0.0", "1.1.0", "x"]),
    idle=st.one_of(st.none(), st.integers(-1, 10_000)),
    boot=st.sampled_from(["7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a01", "nonsense", None]),
    extra=st.booleans(),
)
def test_whatever_is_said_is_answered_as_the_view_does(
    registered: Service, *, installed: str | None, idle: int | None, boot: str | None, extra: bool
) -> None:
    body = heartbeat(installed, idle_seconds=idle, boot_id=boot) | ({"more": 1} if extra else {})
    data = json.dumps(body)
    same(ask(registered, data=data), ask(registered, by_view=True, data=data))


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"headers": GOOD | {"X-Request-ID": "mine"}}, 200),
        ({"headers": GOOD | {"Authorization": f"bearer {TOKEN}"}}, 200),
        ({"headers": GOOD | {"Content-Type": "application/json; charset=utf-8"}}, 200),
        ({"path": PATH.replace(DEVICE, DEVICE.upper())}, 200),
        ({"path": PATH + "/"}, 200),
        ({"path": PATH + "?a=b"}, 200),
        ({"headers": {"Content-Type": "application/json"}}, 401),
        ({"headers": GOOD | {"Authorization": "Bearer other"}}, 401),
        ({"headers": GOOD | {"Authorization": "Basic abc"}}, 401),
        ({"path": PATH.replace(DEVICE, OTHER_DEVICE)}, 401),
        ({"headers": GOOD | {"Content-Type": "text/plain"}}, 415),
        ({"data": b"{"}, 400),
        ({"data": b"[]"}, 400),
        ({"data": b"{}"}, 422),
        ({"data": b" " * 70_000}, 413),
        ({"data": b" " * 170_000}, 413),
        ({"method": "GET"}, 405),
        ({"path": "/api/v1/devices/none/heartbeat"}, 404),
    ],
    ids=str,
)
def test_what_is_out_of_the_ordinary_is_the_views(registered: Service, more: dict[str, Any], status: int) -> None:
    answer = ask(registered, **more)
    assert answer.status_code == status
    same(answer, ask(registered, by_view=True, **more))


def test_a_device_that_waits_is_gone_or_rotates_is_the_views(registered: Service) -> None:
    operator = registered.key("operator")
    registered.register(id=OTHER_DEVICE, token="other")
    assert registered.request("DELETE", f"/api/v1/devices/{OTHER_DEVICE}", key=operator).status_code == 204
    headers = GOOD | {"Authorization": "Bearer other"}
    gone: dict[str, Any] = {"path": PATH.replace(DEVICE, OTHER_DEVICE), "headers": headers}
    assert ask(registered, **gone).status_code == 410
    new = "a" * 64
    registered.db.write(
        lambda work: work.execute("UPDATE devices SET next_token_sha256 = ? WHERE id = ?", (new, DEVICE))
    )
    with counting(registered) as seen:
        assert ask(registered).status_code == 200
        assert seen == []
    registered.db.write(lambda work: work.execute("UPDATE devices SET state = 'pending' WHERE id = ?", (DEVICE,)))
    with counting(registered) as seen:
        assert ask(registered).get_json()["state"] == "pending"
        assert seen == [PATH]


def test_what_fails_is_met_again_by_the_view_which_has_the_words(
    registered: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def full(*_: Any, **__: Any) -> None:
        tries.append(1)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(store, "record", full)
    answer = ask(registered)
    assert answer.status_code == 503
    assert tries == [1], "a busy database is not waited for twice"
    assert "disk is full" in answer.get_json()["error"]["message"]
    monkeypatch.setattr(store, "record", lambda *_, **__: 1 / 0)
    answer = ask(registered)
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (500, "internal")


def test_the_log_and_the_metrics_tell_the_same_of_both(registered: Service, caplog: pytest.LogCaptureFixture) -> None:
    samples = [scrape(registered)]
    with caplog.at_level(logging.INFO):
        caplog.clear()
        for by_view in (False, True):
            ask(registered, by_view=by_view, environ_base={"REMOTE_ADDR": "192.0.2.7"})
            lines = [record for record in caplog.records if PATH in record.getMessage()]
            samples.append(scrape(registered))
    fast, slow = ({**record.__dict__["fields"]} for record in lines)
    for fields in (fast, slow):
        assert fields.pop("milliseconds") >= 0
        assert len(str(fields.pop("request"))) == 12
    assert fast == slow
    for name, labels in [
        ("repo_server_requests_total", {"route": ROUTE, "method": "POST", "status": "200"}),
        ("repo_server_heartbeat_seconds_count", {}),
    ]:
        first, second, third = (value(each, name, **labels) for each in samples)
        assert None not in {first, second, third}
        assert (second, third) == (first + 1, first + 2)  # type: ignore[operator] # none of them is None


def test_its_route_is_flasks_own(registered: Service) -> None:
    assert ROUTE in {rule.rule for rule in registered.app.url_map.iter_rules()}


def test_when_too_many_come_at_once_the_view_refuses(registered: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    here = registered.app.extensions["repo_server"]
    object.__setattr__(here, "waiting", lambda: registered.settings.most_waiting + 1)
    assert ask(registered).status_code == 503
