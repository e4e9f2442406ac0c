"""The agent's own HTTP: every form of an answer, broken ones, drops, sizes, and TLS that is really checked."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.http import LARGEST_BODY, Address, HttpError, parse

ROOT = Path(__file__).parents[3]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def chunked(body: bytes, size: int) -> bytes:
    """A body in chunks of at most ``size`` bytes."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;ignored=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "length": lambda body: HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body,
    "chunked": lambda body: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, 7),
    "end": lambda body: HEAD + b"\r\n" + body,
    "after interim answers": lambda body: (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FORMS["length"](body)
    ),
}


@given(form=st.sampled_from(sorted(FORMS)), body=st.binary(max_size=200), data=st.data())
def test_an_answer_is_the_same_wherever_the_network_has_cut_it(form: str, body: bytes, data: st.DataObject) -> None:
    whole = FORMS[form](body)
    seen = data.draw(st.integers(0, len(whole)))
    early = parse(whole[:seen], ended=False)
    if early is not None:
        assert early.body == body
    late = parse(whole, ended=True)
    assert late is not None
    assert (late.status, late.reason, late.body) == (200, "OK", body)
    assert late.headers["content-type"] == "application/json"


@given(form=st.sampled_from(["length", "chunked"]), body=st.binary(min_size=1, max_size=200), data=st.data())
def test_an_answer_that_ends_too_early_is_none(form: str, body: bytes, data: st.DataObject) -> None:
    whole = FORMS[form](body)
    needed = len(whole) - (len(b"\r\n") if form == "chunked" else 0)
    cut = whole[: data.draw(st.integers(0, needed - 1))]
    assert parse(cut, ended=False) is None
    with pytest.raises(HttpError):
        parse(cut, ended=True)


@given(st.binary(max_size=300))
def test_whatever_comes_is_an_answer_or_an_error(garbage: bytes) -> None:
    for received in (garbage, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + garbage):
        with suppress(HttpError):
            parse(received, ended=True)


@pytest.mark.parametrize(
    ("received", "words"),
    [
        (b"", "ended unanswered"),
        (b"220 mail.example.org ESMTP\r\n\r\n", "220 mail"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 6_000, "ended unanswered"),
        (b"HTTP/2 200\r\n\r\n", "HTTP/2 200"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "length is '-1'"),
        (HEAD + b"Content-Length: 5\r\n\r\nabc", "cut off"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc", "no length"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "another length"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 4_000, "no answer in HTTP"),
    ],
)
def test_what_is_no_answer_is_said(received: bytes, words: str) -> None:
    with pytest.raises(HttpError, match=words):
        parse(received, ended=True)


def test_an_answer_without_a_body_needs_no_end() -> None:
    answer = parse(b"HTTP/1.1 204 No Content\r\n\r\n", ended=False)
    assert answer is not None
    assert answer.body == b""


@contextmanager
def serving(handle: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on loopback for one connection; its port. A client that breaks off is no failure of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            channel, _ = listener.accept()
            with channel:
                try:
                    if context is None:
                        handle(channel)
                    else:
                        with context.wrap_socket(channel, server_side=True) as secure:
                            handle(secure)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def answering(content: bytes, got: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def handle(channel: socket.socket) -> None:
        request = channel.recv(100_000)
        if got is not None:
            got.append(request)
        channel.sendall(content)
        channel.recv(1)  # keeps the connection open: the client must know by itself when it has all

    return handle


def test_a_request_is_what_it_should_be_and_not_one_byte_more() -> None:
    got: list[bytes] = []
    with serving(answering(FORMS["length"](b"{}"), got)) as port:
        reply = Address("127.0.0.1", port, tls=False, timeout=5).ask(
            "POST", "/a", {"Content-Type": "application/json"}, b"[]"
        )
    assert reply.body == b"{}"
    assert got == [
        b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n[]" % port
    ]


def test_an_answer_to_head_has_the_length_of_a_body_and_none() -> None:
    got: list[bytes] = []
    with serving(answering(HEAD + b"Content-Length: 1000\r\n\r\n", got)) as port:
        reply = Address("127.0.0.1", port, tls=False, timeout=5).ask("HEAD", "/a", {})
    assert (reply.status, reply.body) == (200, b"")
    assert got == [b"HEAD /a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port]


def test_a_header_brings_no_other_header() -> None:
    with pytest.raises(HttpError, match="line break"):
        Address("127.0.0.1", 9, tls=False, timeout=1).ask("POST", "/", {"Authorization": "Bearer a\r\nHost: b"}, b"")


def test_of_an_answer_too_large_only_so_much_is_read() -> None:
    sent = 0

    def flood(channel: socket.socket) -> None:
        nonlocal sent
        channel.recv(1000)
        channel.sendall(HEAD + b"\r\n")
        while True:
            sent += channel.send(b"x" * 65_536)

    with serving(flood) as port:
        reply = Address("127.0.0.1", port, tls=False, timeout=5).ask("POST", "/", {}, b"")
    assert len(reply.body) > LARGEST_BODY
    assert len(reply.body) < 5 * LARGEST_BODY


def test_an_answer_in_drops_is_given_up() -> None:
    def drop(channel: socket.socket) -> None:
        channel.recv(1000)
        for _ in range(1000):
            channel.sendall(b"H")
            stop.wait(0.01)

    stop = threading.Event()
    with serving(drop) as port:
        try:
            with pytest.raises(TimeoutError, match="timed out"):
                Address("127.0.0.1", port, tls=False, timeout=0.02).ask("POST", "/", {}, b"")
        finally:
            stop.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``key``, ``cert`` for localhost, and ``trusted/``, which holds it under its hashed name."""
    folder = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    make += ["-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True)
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", folder / "cert"], check=True, capture_output=True
    )
    (folder / "trusted").mkdir()
    (folder / "trusted" / f"{hashed.stdout.decode().strip()}.0").write_bytes((folder / "cert").read_bytes())
    (folder / "strangers").mkdir()
    return folder


def secure_post(certificate: Path, host: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    with serving(answering(FORMS["length"](b"{}")), context) as port:
        return Address(host, port, tls=True, timeout=5).ask("POST", "/", {}, b"").body


def test_tls_with_a_known_authority(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(certificate / "trusted"))
    assert secure_post(certificate, "localhost") == b"{}"


def test_tls_with_an_unknown_authority_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(certificate / "strangers"))
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        secure_post(certificate, "localhost")


def test_tls_for_another_name_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(certificate / "trusted"))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        secure_post(certificate, "127.0.0.1")


def test_the_system_s_authorities_are_in_the_folder_that_is_looked_into() -> None:
    paths = ssl.get_default_verify_paths()
    assert paths.capath is not None
    assert any(Path(paths.capath).glob("*.0")), "ca-certificates, on which the package depends, makes them"


def modules_after(program: str) -> set[str]:
    """The modules that the system's own Python has loaded once it has run this."""
    command = [
        "/usr/bin/python3",
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}; print(*sys.modules)",
    ]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_daemon_does_without_what_only_others_need() -> None:
    asking = (
        "from pi_hook.http import Address\ntry: Address('localhost', 9, tls=False, timeout=1).ask('GET', '/', {})\n"
    )
    daemon = modules_after(f"import pi_hook.cli, pi_hook.assemble; exec({asking + 'except OSError: pass'!r})")
    unavoidable = modules_after("import ctypes, dataclasses, logging, pathlib, subprocess, tomllib, zoneinfo")
    heavy = {
        *("apt_pkg", "argparse", "asyncio", "difflib", "email", "encodings.idna", "gpiozero", "http.client"),
        *("platform", "shutil", "ssl", "urllib.parse", "uuid"),
    }
    assert "pi_hook.daemon" in daemon
    assert daemon & heavy <= unavoidable
