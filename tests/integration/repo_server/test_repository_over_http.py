"""The published folder as apt gets it from the real server."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time

import pytest

from tests.integration.repo_server.conftest import Fleet
from tests.support.server import Reply, RunningServer

DEB = "trixie/pool/main/s/sample/sample_1_arm64.deb"
CONTENT = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def published(server: RunningServer) -> None:
    folder = server.repository / "trixie" / "dists" / "stable"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "InRelease").write_text("signed")
    os.utime(folder / "InRelease", (1_790_000_000, 1_790_000_000))
    deb = server.repository / DEB
    deb.parent.mkdir(parents=True, exist_ok=True)
    if not deb.exists():
        deb.write_bytes(CONTENT)
        os.utime(deb, (1_700_000_000, 1_700_000_000))
    (server.repository.parent / "secret").write_text("secret")
    link = server.repository / "out"
    if not link.is_symlink():
        link.symlink_to("../secret")


def get(device: Fleet, name: str, method: str = "GET", **headers: str) -> Reply:
    basic = base64.b64encode(f"{device.id}:{device.token}".encode()).decode()
    sent = {"Authorization": f"Basic {basic}", **{key.replace("_", "-"): value for key, value in headers.items()}}
    return device.server.request(method, f"/repo/{name}", headers=sent)


def test_a_device_gets_the_whole_file(device: Fleet) -> None:
    answer = get(device, DEB)
    assert (answer.status, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Type"] == "application/vnd.debian.binary-package"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_head_tells_the_size_without_the_bytes(device: Fleet) -> None:
    answer = get(device, DEB, "HEAD")
    assert (answer.status, answer.content, answer.headers["Content-Length"]) == (200, b"", str(len(CONTENT)))


def test_an_interrupted_download_goes_on_where_it_stopped(device: Fleet) -> None:
    first = get(device, DEB, Range="bytes=0-999")
    assert (first.status, first.headers["Content-Range"]) == (206, f"bytes 0-999/{len(CONTENT)}")
    rest = get(device, DEB, Range="bytes=1000-", If_Range=first.headers["Last-Modified"])
    assert rest.status == 206
    assert hashlib.sha256(first.content + rest.content).digest() == hashlib.sha256(CONTENT).digest()


def test_a_file_that_changed_meanwhile_is_sent_whole(device: Fleet) -> None:
    answer = get(device, DEB, Range="bytes=1000-", If_Range="Mon, 01 Jan 2001 00:00:00 GMT")
    assert (answer.status, answer.content) == (200, CONTENT)


def test_a_range_behind_the_end(device: Fleet) -> None:
    answer = get(device, DEB, Range=f"bytes={len(CONTENT)}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")
    assert answer.error["kind"] == "range_not_satisfiable"


@pytest.mark.parametrize("header", ["If_Modified_Since", "If_None_Match"])
def test_what_the_device_has_already_is_not_sent_again(device: Fleet, header: str) -> None:
    first = get(device, "trixie/dists/stable/InRelease")
    known = first.headers["Last-Modified" if header == "If_Modified_Since" else "ETag"]
    again = get(device, "trixie/dists/stable/InRelease", **{header: known})
    assert (again.status, again.content) == (304, b"")
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-store"


def test_what_is_published_twice_within_a_second_is_sent_twice(server: RunningServer, device: Fleet) -> None:
    name = "trixie/dists/stable/InRelease"
    now = time.time()
    os.utime(server.repository / name, (now, now))
    first = get(device, name)
    (server.repository / name).write_text("signed anew")
    os.utime(server.repository / name, (now, now))
    again = get(device, name, If_Modified_Since=first.headers["Last-Modified"])
    assert (again.status, again.content) == (200, b"signed anew")


@pytest.mark.parametrize("name", ["trixie/none", "trixie", "trixie/dists/stable/", "out", "%00", "trixie%2fdists"])
def test_what_is_not_there(device: Fleet, name: str) -> None:
    answer = get(device, name)
    assert (answer.status, answer.error["kind"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["/repo/../secret", "/repo/trixie/../../secret", "/repo/%2e%2e/secret", "/repo/..%2fsecret", "/repo//etc/passwd",
     "/repo/%2fetc/passwd", "/repo/trixie/%2e%2e/%2e%2e/secret", "/repo/..%5csecret", "/repo/%252e%252e/secret"],
)  # fmt: skip
def test_nothing_outside_is_ever_served(device: Fleet, path: str) -> None:
    """Sent as it is, byte for byte: no client library tidies it up first."""
    basic = base64.b64encode(f"{device.id}:{device.token}".encode()).decode()
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", device.server.port), timeout=30) as connection:
        connection.sendall(request.encode())
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    assert int(received.split()[1]) in {308, 404}
    assert b"root:" not in received
    assert not received.endswith(b"secret")


def test_without_credentials_apt_is_asked_for_them(server: RunningServer) -> None:
    answer = server.request("GET", f"/repo/{DEB}")
    assert (answer.status, answer.error["kind"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="pi-ota"'


def test_a_builder_may_look_at_what_it_has_published(server: RunningServer) -> None:
    assert server.request("GET", f"/repo/{DEB}", key=server.key("builder")).content == CONTENT
