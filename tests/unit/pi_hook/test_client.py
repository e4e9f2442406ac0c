"""The HTTP client against a real server on loopback that misbehaves in every way."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pi_hook.client import HttpServer
from pi_hook.errors import RefusedError, ServerError
from pi_hook.identity import Identity
from pi_hook.proxy import Proxy, parse_proxy
from pi_hook.wire import Heartbeat, Registration, Status
from tests.support.proxy import ForwardProxy

IDENTITY = Identity("0195e0c8-0000-7000-8000-000000000001", "t" * 43)
AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
HEARTBEAT = Heartbeat("b", AT, True, 1, "0.1.0", "Etc/UTC", "sample", None, None, None, None, None)
ANSWER = {"server_time": "2026-03-29T01:30:00Z", "next_heartbeat_seconds": 300, "channel": "stable"}


class Scripted(ThreadingHTTPServer):
    """Answers every request with ``reply`` (status, headers, body) and keeps what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        self.got: list[tuple[str, dict[str, str], Any]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Scripted)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append((self.path, dict(self.headers), json.loads(body)))
        status, headers, content = server.reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: Any) -> None:
        """Be quiet."""


@pytest.fixture
def peer() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(peer: Scripted) -> HttpServer:
    return HttpServer(f"http://127.0.0.1:{peer.server_address[1]}", agent_version="0.1.0", timeout=5)


def as_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_a_registration_goes_out_with_the_enrollment_token(client: HttpServer, peer: Scripted) -> None:
    peer.reply = (201, {}, as_json({"id": "x", "channel": "beta", "state": "active", "server_time": "…"}))
    registration = Registration("x", "0" * 64, "kitchen", "Etc/UTC", "sample", None, "0.1.0", "trixie", "arm64", None)
    answer = client.register("enroll", registration)
    assert (answer.id, answer.channel, answer.state) == ("x", "beta", "active")
    path, headers, body = peer.got[0]
    assert path == "/api/v1/devices/"
    assert headers["Authorization"] == "Bearer enroll"
    assert body == {
        "id": "x", "token_sha256": "0" * 64, "hostname": "kitchen", "timezone": "Etc/UTC", "assistant": "sample",
        "channel": None, "agent_version": "0.1.0", "debian": "trixie", "architecture": "arm64", "model": None,
    }  # fmt: skip


def test_a_heartbeat_and_statuses_go_to_the_device_s_own_addresses(client: HttpServer, peer: Scripted) -> None:
    peer.reply = (200, {}, as_json(ANSWER))
    assert client.heartbeat(IDENTITY, HEARTBEAT).next_heartbeat_seconds == 300
    peer.reply = (200, {}, as_json({"acknowledged": 8}))
    assert client.report(IDENTITY, [Status("u-1", 8, "failed", AT, "1.0")]) == 8
    assert [path for path, _, _ in peer.got] == [
        f"/api/v1/devices/{IDENTITY.device_id}/heartbeat",
        f"/api/v1/devices/{IDENTITY.device_id}/updates/u-1/status",
    ]
    assert {headers["Authorization"] for _, headers, _ in peer.got} == {f"Bearer {IDENTITY.token}"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 422])
def test_a_refusal_is_told_with_the_server_s_words(client: HttpServer, peer: Scripted, status: int) -> None:
    peer.reply = (status, {}, as_json({"error": {"kind": "k", "message": "because"}}))
    with pytest.raises(RefusedError, match="because") as caught:
        client.heartbeat(IDENTITY, HEARTBEAT)
    assert (caught.value.kind, caught.value.status) == ("k", status)
    assert caught.value.means_stop == (status in {401, 403, 410})


@pytest.mark.parametrize("status", [301, 429, 500, 502, 503])
def test_what_may_pass_is_no_refusal(client: HttpServer, peer: Scripted, status: int) -> None:
    peer.reply = (status, {"Retry-After": "17"}, b"<html>")
    with pytest.raises(ServerError) as caught:
        client.heartbeat(IDENTITY, HEARTBEAT)
    assert not isinstance(caught.value, RefusedError)
    assert (caught.value.status, caught.value.retry_after) == (status, 17)


@pytest.mark.parametrize(
    ("header", "seconds"), [("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-3", None), ("9" * 9, 86_400)]
)
def test_retry_after_is_bounded_and_a_date_is_not_believed(
    client: HttpServer, peer: Scripted, header: str, seconds: float | None
) -> None:
    peer.reply = (503, {"Retry-After": header}, b"")
    with pytest.raises(ServerError) as caught:
        client.heartbeat(IDENTITY, HEARTBEAT)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"[]", as_json({"server_time": 3}), b" " * 70_000 + as_json(ANSWER)]
)
def test_an_answer_that_cannot_be_used_may_be_asked_for_again(
    client: HttpServer, peer: Scripted, content: bytes
) -> None:
    peer.reply = (200, {}, content)
    with pytest.raises(ServerError) as caught:
        client.heartbeat(IDENTITY, HEARTBEAT)
    assert not isinstance(caught.value, RefusedError)
    assert caught.value.kind == "bad_answer"


def test_nobody_there_is_a_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = HttpServer(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout=1)
        with pytest.raises(ServerError, match="cannot be asked"):
            client.heartbeat(IDENTITY, HEARTBEAT)


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = HttpServer(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
        with pytest.raises(ServerError, match="timed out"):
            client.heartbeat(IDENTITY, HEARTBEAT)


def test_something_that_is_not_http_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as strange:

        def answer() -> None:
            channel, _ = strange.accept()
            with channel:
                channel.recv(10_000)
                channel.sendall(b"220 mail.example.org ESMTP\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        client = HttpServer(f"http://127.0.0.1:{strange.getsockname()[1]}", timeout=5)
        with pytest.raises(ServerError, match="cannot be asked"):
            client.heartbeat(IDENTITY, HEARTBEAT)
        thread.join()


def test_tls_is_not_given_up_for_a_server_that_does_not_speak_it(peer: Scripted) -> None:
    client = HttpServer(f"https://127.0.0.1:{peer.server_address[1]}", timeout=5)
    with pytest.raises(ServerError, match="cannot be asked"):
        client.heartbeat(IDENTITY, HEARTBEAT)
    assert peer.got == []


def test_plain_http_to_a_stranger_is_never_spoken() -> None:
    with pytest.raises(ValueError, match="plain http"):
        HttpServer("http://updates.example.org")
    HttpServer("http://updates.example.org", frozenset({"updates.example.org"}))


def test_a_heartbeat_exchange_fits_in_a_kilobyte(client: HttpServer, peer: Scripted) -> None:
    peer.reply = (200, {}, as_json(ANSWER))
    client.heartbeat(IDENTITY, HEARTBEAT)
    path, headers, body = peer.got[0]
    size = (
        len(path) + sum(len(k) + len(v) + 4 for k, v in headers.items()) + len(json.dumps(body, separators=(",", ":")))
    )
    assert size < 750, "the rest is the answer's"


def test_plain_requests_go_through_the_proxy_with_its_credentials(peer: Scripted) -> None:
    peer.reply = (200, {}, as_json(ANSWER))
    url = f"http://127.0.0.1:{peer.server_address[1]}"
    with ForwardProxy("pi", "s3:cret") as proxy:
        through = proxy.url.replace("s3:cret", "s3%3Acret")
        assert HttpServer(url, proxy=through).heartbeat(IDENTITY, HEARTBEAT).channel == "stable"
        assert proxy.asked == [f"{url}/api/v1/devices/{IDENTITY.device_id}/heartbeat"]
    assert peer.got[0][0] == f"/api/v1/devices/{IDENTITY.device_id}/heartbeat"
    assert "Proxy-Authorization" not in peer.got[0][1]


def test_tls_is_spoken_with_the_server_itself_through_a_tunnel(peer: Scripted) -> None:
    with ForwardProxy() as proxy:
        client = HttpServer(f"https://127.0.0.1:{peer.server_address[1]}", timeout=5, proxy=proxy.url)
        with pytest.raises(ServerError, match=rf"through the proxy 127\.0\.0\.1:{proxy.port} cannot be asked"):
            client.heartbeat(IDENTITY, HEARTBEAT)  # the peer speaks no TLS
        assert proxy.asked == [f"CONNECT 127.0.0.1:{peer.server_address[1]}"]
    assert peer.got == [], "the token went nowhere unencrypted"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_other_credentials_is_said_without_them_and_is_no_refusal_of_the_server(
    peer: Scripted, scheme: str
) -> None:
    with ForwardProxy("pi", "right") as proxy:
        wrong = proxy.url.replace("right", "wr0ngpass")
        client = HttpServer(f"{scheme}://127.0.0.1:{peer.server_address[1]}", timeout=5, proxy=wrong)
        with pytest.raises(ServerError) as caught:
            client.heartbeat(IDENTITY, HEARTBEAT)
        assert not isinstance(caught.value, RefusedError), "the device is not unwelcome at its own server"
        assert "proxy" in str(caught.value)
        assert "wr0ngpass" not in str(caught.value) + repr(client.__dict__)
        assert proxy.refused == 1
    assert peer.got == []


def test_a_proxy_that_is_not_there_is_said() -> None:
    client = HttpServer("https://updates.example.org", timeout=5, proxy="http://127.0.0.1:9")
    with pytest.raises(ServerError, match=r"updates\.example\.org:443 through the proxy 127\.0\.0\.1:9"):
        client.heartbeat(IDENTITY, HEARTBEAT)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128)),
        ("http://[::1]:3128/", Proxy("::1", 3128)),
        ("http://u:p%40%3A@proxy:1", Proxy("proxy", 1, "Basic dTpwQDo=")),
        ("http://u@proxy:65535", Proxy("proxy", 65_535, "Basic dTo=")),
    ],
)
def test_proxies(url: str, found: Proxy) -> None:
    assert parse_proxy(url) == found
    assert "Basic" not in repr(parse_proxy(url))


@pytest.mark.parametrize(
    "url",
    ["", "proxy:3128", "http://proxy", "https://proxy:3128", "socks5h://proxy:1080", "http://proxy:0", "http://p:70000",
     'http://u:a"b@proxy:1', "http://u:a@b@proxy:1", "http://proxy:3128/path", "http://u:a\nb@proxy:1", "http://u:ü@p:1"],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT") as caught:
        parse_proxy(url)
    assert "a@b" not in str(caught.value)
