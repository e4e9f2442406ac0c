"""The line that each request leaves: how many bytes were sent is what downloads are counted by."""

from __future__ import annotations

import logging
import os

import pytest

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
