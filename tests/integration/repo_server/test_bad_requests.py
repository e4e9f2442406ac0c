"""What a real server does with bad requests: an error object, one line in its log, nothing in its database."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.integration.repo_server.conftest import Fleet, dump
from tests.support.fleet_bodies import heartbeat
from tests.support.server import Reply, RunningServer

JSON = {"Content-Type": "application/json"}
TEN_MEGABYTES = b'{"padding": "' + b"x" * 10_000_000 + b'"}'


def new_lines(server: RunningServer, before: str) -> list[str]:
    """What was logged since; the line is written before the answer is sent."""
    return server.stderr().removeprefix(before).splitlines()


CASES: list[tuple[str, dict[str, Any], int, str]] = [
    ("unknown field", {"body": heartbeat(mood="fine")}, 422, "invalid"),
    ("no JSON", {"raw": b"hello", "headers": JSON}, 400, "bad_request"),
    ("no object", {"raw": b"[]", "headers": JSON}, 400, "bad_request"),
    ("deeply nested", {"raw": b"[" * 60_000, "headers": JSON}, 400, "bad_request"),
    ("wrong type", {"body": heartbeat(idle_seconds="long")}, 422, "invalid"),
    ("other media type", {"raw": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
    ("ten megabytes", {"raw": TEN_MEGABYTES, "headers": JSON}, 413, "too_large"),
    ("wrong token", {"body": heartbeat(), "token": "wrong"}, 401, "unauthorized"),
    ("ten megabytes and a wrong token", {"raw": TEN_MEGABYTES, "headers": JSON, "token": "wrong"}, 401, "unauthorized"),
]


@pytest.mark.parametrize(("case", "sent", "status", "kind"), CASES, ids=[case[0] for case in CASES])
def test_a_bad_heartbeat_leaves_one_line_and_nothing_else(
    device: Fleet, case: str, sent: dict[str, Any], status: int, kind: str
) -> None:
    server = device.server
    before, log = dump(server), server.stderr()
    answer = server.request("POST", f"{device.path}/heartbeat", **{"token": device.token, **sent})
    assert (answer.status, answer.error["kind"]) == (status, kind)
    assert answer.headers["Content-Type"] == "application/json"
    (line,) = new_lines(server, log)
    assert f"POST {device.path}/heartbeat {status} " in line
    assert device.token not in line
    assert dump(server) == before
    assert device.beat().status == 200


def test_the_unknown_field_is_named(device: Fleet) -> None:
    answer = device.server.request("POST", f"{device.path}/heartbeat", body=heartbeat(mood="fine"), token=device.token)
    assert answer.error["message"] == "mood: unknown field"


def head(device: Fleet, *headers: str) -> bytes:
    lines = [f"POST {device.path}/heartbeat HTTP/1.1", "Host: x", f"Authorization: Bearer {device.token}",
             "Content-Type: application/json", *headers]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_of(connection: socket.socket) -> Reply:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
        if b"\r\n\r\n" in received and received.endswith(b"}\n"):
            break
    top, _, content = received.partition(b"\r\n\r\n")
    return Reply(int(top.split()[1]), {}, content)


def test_a_chunked_body_without_a_length_is_bounded_too(device: Fleet) -> None:
    """The answer comes while the body is still being sent, so the server cannot have read all of it."""
    before, log = dump(device.server), device.server.stderr()
    with socket.create_connection(("127.0.0.1", device.server.port), timeout=30) as connection:
        connection.sendall(head(device, "Transfer-Encoding: chunked"))
        chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        for _ in range(6):
            connection.sendall(chunk)
        answer = answer_of(connection)
    assert (answer.status, answer.error["kind"]) == (413, "too_large")
    assert len(new_lines(device.server, log)) == 1
    assert dump(device.server) == before


def test_a_large_length_is_refused_before_any_of_the_body_arrives(device: Fleet) -> None:
    with socket.create_connection(("127.0.0.1", device.server.port), timeout=30) as connection:
        connection.sendall(head(device, "Content-Length: 10000000"))
        answer = answer_of(connection)
    assert (answer.status, answer.error["kind"]) == (413, "too_large")


def test_a_chunked_body_that_is_good_is_taken(device: Fleet) -> None:
    body = json.dumps(heartbeat()).encode()
    with socket.create_connection(("127.0.0.1", device.server.port), timeout=30) as connection:
        connection.sendall(head(device, "Transfer-Encoding: chunked"))
        connection.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert answer_of(connection).status == 200


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "kind"),
    [
        (f"GET /{'x' * 3_000} HTTP/1.1", [], 414, "address_too_long"),
        ("GET /healthz HTTP/1.1", ["X: " + "x" * 9_000], 431, "headers_too_large"),
        ("GET /healthz HTTP/9.9", [], 400, "bad_request"),
    ],
)
def test_what_never_comes_to_the_application_is_refused_in_the_same_form(
    server: RunningServer, request_line: str, headers: list[str], status: int, kind: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall("\r\n".join([request_line, "Host: x", *headers, "", ""]).encode())
        answer = answer_of(connection)
    assert (answer.status, answer.error["kind"]) == (status, kind)


def test_a_body_that_ends_early_changes_nothing(device: Fleet) -> None:
    before = dump(device.server)
    with socket.create_connection(("127.0.0.1", device.server.port), timeout=30) as connection:
        connection.sendall(head(device, "Content-Length: 500") + b'{"boot_id":')
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65_536)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and f"{device.id}/heartbeat 400" not in device.server.stderr():
        time.sleep(0.02)
    assert f"{device.id}/heartbeat 400" in device.server.stderr()
    assert "Traceback" not in device.server.stderr()
    assert dump(device.server) == before


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PUT", "/api/v1/devices/", 405, "method_not_allowed"),
        ("GET", "/api/v1/devices/", 401, "unauthorized"),
        ("BREW", "/", 405, "method_not_allowed"),
    ],
)
def test_other_wrong_requests(server: RunningServer, method: str, path: str, status: int, kind: str) -> None:
    log = server.stderr()
    answer = server.request(method, path)
    assert (answer.status, answer.error["kind"]) == (status, kind)
    assert len(new_lines(server, log)) == 1
