"""The machine itself, looked at: a real certificate, real modes, a real service manager where there is one."""

from __future__ import annotations

import getpass
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from repo_server.around import Here
from repo_server.install import certificates, places
from repo_server.install.machine import Machine
from repo_server.installed import CertificateError

HOST = "updates.example.org"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Host"] == HOST and self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One with a certificate of its own."""
    machine = Machine(lambda _: None, tmp_path)
    machine.path(places.TLS).mkdir(parents=True)
    certificates.own(machine, HOST, datetime.now(UTC))
    return machine


@contextmanager
def listening(machine: Machine) -> Iterator[Here]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(machine.path(places.CERTIFICATE), machine.path(places.KEY))
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Here(("127.0.0.1", server.server_port), machine.path(places.AUTHORITY))
        server.shutdown()
        thread.join()


def test_what_answers_at_the_servers_address(machine: Machine) -> None:
    with listening(machine) as here:
        answer = here.ask(HOST)
        assert answer.status == 200
        left = answer.ends - datetime.now(UTC)
        assert timedelta(days=824) < left <= timedelta(days=825)
        with pytest.raises(CertificateError, match="mismatch"):
            here.ask("other.example.org")


def test_an_authority_that_nobody_knows(machine: Machine, tmp_path: Path) -> None:
    with listening(machine) as here, pytest.raises(CertificateError, match="issuer certificate"):
        Here(here._address, tmp_path / "none").ask(HOST)


def test_nobody_answers() -> None:
    with pytest.raises(OSError, match="refused"):
        Here(("127.0.0.1", 1)).ask(HOST)


@pytest.mark.parametrize(("mode", "stops"), [(0o700, False), (0o300, True), (0o600, True)])
def test_who_may_read_a_folder(tmp_path: Path, mode: int, *, stops: bool) -> None:
    inner = tmp_path / "aptly" / "public"
    inner.mkdir(parents=True)
    inner.chmod(mode)
    here = Here(root=tmp_path / "aptly")
    assert here.stopped_at(getpass.getuser(), inner) == (inner if stops else None)
    inner.chmod(0o755)
    (tmp_path / "aptly").chmod(0o750)
    assert here.stopped_at("nobody", inner) == tmp_path / "aptly"
    (tmp_path / "aptly").chmod(0o751)
    assert here.stopped_at("nobody", inner) is None


def test_nobody_is_stopped_by_what_is_not_there(tmp_path: Path) -> None:
    assert Here(root=tmp_path).stopped_at(getpass.getuser(), tmp_path / "none" / "public") is None
    assert Here(root=tmp_path).stopped_at("no-such-user", tmp_path) is None


def test_groups() -> None:
    group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    assert Here().is_in_group(getpass.getuser(), group)
    assert not Here().is_in_group(getpass.getuser(), "no-such-group")
    assert not Here().is_in_group("no-such-user", group)


def test_units_as_systemctl_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        "Id=a.service\\nLoadState=loaded\\nActiveState=active\\nUnitFileState=enabled",
        "Id=b.timer\\nLoadState=loaded\\nActiveState=failed\\nUnitFileState=disabled",
        "Id=c.service\\nLoadState=not-found\\nActiveState=inactive\\nUnitFileState=",
    ]
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\nprintf '" + "\\n\\n".join(told) + "\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    known = Here().units(["a.service", "b.timer", "c.service"])
    assert known is not None
    assert [(unit.loaded, unit.active, unit.enabled, unit.failed) for unit in known.values()] == [
        (True, True, True, False),
        (True, False, False, True),
        (False, False, False, False),
    ]
    program.write_text("#!/bin/sh\nexit 1\n")
    assert Here().units(["a.service"]) is None
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert Here().units(["a.service"]) is None
