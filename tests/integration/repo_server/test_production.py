"""What production runs: the systemd units, and nginx in front of the server."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.ports import free_port
from tests.integration.repo_server.conftest import Fleet, enrolled
from tests.support.nginx import running_nginx, self_signed, site
from tests.support.server import ROOT, Reply, RunningServer, running_server

UNITS = sorted((ROOT / "repo_server" / "systemd").iterdir())
DEB = "trixie/pool/main/s/sample/sample_1.0+b1_arm64.deb"
CONTENT = bytes(range(256)) * 2048


def test_the_units_are_sound(tmp_path: Path) -> None:
    for unit in UNITS:
        text = (
            unit.read_text().replace("/opt/pi-ota/.venv/bin/python", sys.executable).replace("/opt/pi-ota", str(ROOT))
        )
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "pi-ota" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_the_services_may_do_little_beside_their_work(unit: Path) -> None:
    """2.5 of 10 is what systemd calls OK; a service without any hardening has 9.6."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-600:] + done.stderr


def test_every_command_of_the_units_exists() -> None:
    for unit in UNITS:
        for line in unit.read_text().splitlines():
            if not line.startswith("ExecStart="):
                continue
            words = line.partition(" -m ")[2].split()
            command = [sys.executable, "-m", *words[:2], "--help"]
            assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60).returncode == 0, line


@dataclass
class Front:
    """nginx in front of a server."""

    server: RunningServer
    port: int
    certificate: Path
    plain: int

    def connect(self) -> http.client.HTTPSConnection:
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        return http.client.HTTPSConnection("localhost", self.port, timeout=30, context=trusted)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = self.connect()
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    folder.chmod(0o755)
    certificate, key = self_signed(folder)
    settings = {"REPO_SERVER_ACCEL_PREFIX": "/_repo/", "REPO_SERVER_TRUSTED_PROXIES": "127.0.0.1"}
    with running_server(folder, environ=settings) as server:
        deb = server.repository / DEB
        deb.parent.mkdir(parents=True)
        deb.write_bytes(CONTENT)
        port, plain = free_port(), free_port()
        example = site(folder, (certificate, key), port, server=server.port, plain=plain, public=server.repository)
        with running_nginx(folder, example, port):
            made = Front(server, port, certificate, plain)
            assert made.request("GET", "/readyz").status == 200
            yield made


@pytest.fixture
def device(front: Front) -> Fleet:
    return enrolled(front.server)


def fetch(front: Front, device: Fleet, name: str, method: str = "GET", **headers: str) -> Reply:
    basic = base64.b64encode(f"{device.id}:{device.token}".encode()).decode()
    return front.request(method, f"/repo/{name}", None, Authorization=f"Basic {basic}", **headers)


def test_the_repository_comes_from_nginx_to_devices_only(front: Front, device: Fleet) -> None:
    whole = fetch(front, device, DEB)
    assert (whole.status, whole.content) == (200, CONTENT)
    assert whole.headers["Content-Type"] == "application/vnd.debian.binary-package"
    assert whole.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "X-Accel-Redirect" not in whole.headers
    # nginx's own kind of ETag: it has sent the bytes.
    assert whole.headers["ETag"].count("-") == 1
    assert fetch(front, device, DEB, "HEAD").headers["Content-Length"] == str(len(CONTENT))
    assert front.request("GET", f"/repo/{DEB}").status == 401
    assert fetch(front, device, "trixie/none").status == 404
    assert front.server.request("DELETE", device.path, key=front.server.key("operator")).status == 204
    assert fetch(front, device, DEB).status == 410


def test_ranges_and_conditions(front: Front, device: Fleet) -> None:
    first = fetch(front, device, DEB, Range="bytes=0-999")
    assert (first.status, first.headers["Content-Range"]) == (206, f"bytes 0-999/{len(CONTENT)}")
    rest = fetch(front, device, DEB, Range="bytes=1000-", If_Range=first.headers["Last-Modified"])
    assert (rest.status, first.content + rest.content) == (206, CONTENT)
    assert fetch(front, device, DEB, If_Modified_Since=first.headers["Last-Modified"]).status == 304
    assert fetch(front, device, DEB, If_None_Match=first.headers["ETag"]).status == 304
    assert fetch(front, device, DEB, Range=f"bytes={len(CONTENT)}-").status == 416


@pytest.mark.parametrize("path", ["/_repo/" + DEB, "/_repo/../state/repo_server.db", "/metrics"])
def test_what_is_nginxs_own_is_not_there_for_anybody(front: Front, path: str) -> None:
    assert front.request("GET", path).status in {400, 404}


def test_the_clients_address_is_the_one_that_nginx_has_seen(front: Front) -> None:
    log = front.server.stderr()
    front.request("GET", "/healthz", X_Forwarded_For="203.0.113.7", X_Request_ID="mine")
    (line,) = front.server.stderr().removeprefix(log).splitlines()
    assert " client=127.0.0.1 " in line
    assert "203.0.113.7" not in line
    log = front.server.stderr()
    # A trusted proxy's word: as nginx would say it of a client elsewhere.
    front.server.request("GET", "/healthz", headers={"X-Forwarded-For": "203.0.113.7"})
    assert " client=203.0.113.7 " in front.server.stderr().removeprefix(log)


def test_an_event_comes_through_at_once(front: Front) -> None:
    connection = front.connect()
    connection.request("GET", "/api/v1/events", headers={"X-API-Key": front.server.secrets["admin_key"]})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/event-stream; charset=utf-8")
    assert answer.readline() == b"retry: 3000\n"
    device = enrolled(front.server)
    lines = [answer.readline() for _ in range(4)]  # the stream is open; nothing waits for its end
    assert json.loads(lines[-1].partition(b"data: ")[2])["id"] == device.id
    answer.close()
    connection.close()


def test_a_browser_signs_in_through_tls(front: Front) -> None:
    signed_in = front.request("POST", "/api/v1/session", X_API_Key=front.server.key("operator"))
    cookie, _, attributes = signed_in.headers["Set-Cookie"].partition("; ")
    assert (signed_in.status, cookie.partition("=")[0]) == (201, "__Host-pi-ota-session")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes.split("; "))
    device = enrolled(front.server)
    sent = {"Cookie": cookie, "X_CSRF_Token": signed_in.json["csrf_token"], "Content_Type": "application/json"}
    # nginx hands on a name without its port, so only the browser's newer word says that it is the same origin.
    here = {"Origin": f"https://localhost:{front.port}", "Sec_Fetch_Site": "same-origin"}
    elsewhere = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}
    change = f"/api/v1/devices/{device.id}"
    assert front.request("PATCH", change, b'{"name": "Kitchen"}', **sent, **elsewhere).status == 403
    assert front.request("PATCH", change, b'{"name": "Kitchen"}', **sent, **here).json["name"] == "Kitchen"
    # Whoever reads it on the way cannot use it without TLS, not even on this machine.
    assert front.server.request("GET", "/api/v1/session", headers={"Cookie": cookie}).status == 401
    assert front.request("DELETE", "/api/v1/session", None, **sent, **here).status == 204
    assert front.request("GET", "/api/v1/session", Cookie=cookie).status == 401


def test_plain_http_has_nothing_but_what_comes_before_tls(front: Front) -> None:
    challenge = front.certificate.parent / "acme" / ".well-known" / "acme-challenge" / "token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("what the authority asks for")
    for path, content in (
        ("/.well-known/acme-challenge/token", challenge.read_bytes()),
        ("/pi-ota-ca.crt", front.certificate.read_bytes()),
    ):
        assert plainly(front, path) == (200, content, None)
    for path in ("/", "/healthz", "/_repo/" + DEB, "/pi-ota-ca.key"):
        status, _, location = plainly(front, path)
        assert (status, location) == (301, f"https://updates.example.org{path}")


def plainly(front: Front, path: str) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", front.plain, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": "updates.example.org"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Location")
    finally:
        connection.close()


def test_what_is_too_large_is_refused_by_nginx_in_our_form(front: Front) -> None:
    answer = front.request("POST", "/api/v1/updates/", b"x" * (3 << 20), Content_Type="application/json")
    assert (answer.status, answer.error["kind"]) == (413, "too_large")
    answer = front.request("GET", "/" + "x" * 9_000)
    assert (answer.status, answer.error["kind"]) == (414, "address_too_long")
