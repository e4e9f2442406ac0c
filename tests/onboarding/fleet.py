"""A server with TLS that has the agent and the keys published, and Pis on which nothing of it is installed."""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.ports import free_port
from tests.support.apt_root import CHECKOUT, AptRoot, made
from tests.support.aptly import BuilderStack, builder_stack
from tests.support.booted import Booted, booted
from tests.support.nginx import running_nginx, self_signed, site
from tests.support.server import RunningServer, running_server

NAME = "updates.example.test"
"""Of the server; on a Pi, which shares this machine's network, it is in /etc/hosts."""
PACKAGES = ("ca-certificates", "curl", "dbus", "sensible-utils", "sudo", "systemd-sysv")
"""Of what is in Raspberry Pi OS, all that the line needs; and what util-linux recommends, which --undo would leave."""


@dataclass
class Fleet:
    """The server and its repository."""

    server: RunningServer
    stack: BuilderStack
    port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[http.client.HTTPResponse, str]:
        """One request over TLS; the answer and its text."""
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=trusted)
        sent = {name.replace("_", "-"): text for name, text in {"Host": f"{NAME}:{self.port}", **headers}.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def page(self, **given: str) -> str:
        """The page that shows what goes on a new Pi, as an admin in a browser sees it."""
        answer, text = self.ask("POST", "/api/v1/session", X_API_Key=self.server.secrets["admin_key"])
        assert answer.status == 201, text
        cookie = answer.getheader("Set-Cookie", "").partition(";")[0]
        form = {"csrf_token": json.loads(text)["csrf_token"], "name": "test", "uses": "1", "expires": "1d"}
        form |= {"server": self.url, "assistant": "sample-assistant", "debian": "trixie"} | given
        sent = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": cookie, "Accept": "text/html"}
        answer, text = self.ask("POST", "/setup/devices/new", urllib.parse.urlencode(form), **sent)
        assert answer.status == 201, text
        return text

    def line(self, **given: str) -> str:
        """The line of that page."""
        found = re.search(r'aria-label="Line for a shell on the Pi"><code>(.*?)</code>', self.page(**given), re.DOTALL)
        assert found
        return html.unescape(found[1])

    def devices(self) -> list[dict[str, str]]:
        """Those that are registered."""
        key = self.server.key("viewer")
        return list(self.server.request("GET", "/api/v1/devices/", key=key).json["items"])


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """All of it, in ``folder``."""
    certificate, key = self_signed(folder, NAME)
    port = free_port()
    settings = {"REPO_SERVER_TRUSTED_PROXIES": "127.0.0.1", "REPO_SERVER_ACCEL_PREFIX": "/_repo/"}
    with (
        builder_stack(targets=("trixie/amd64", "bookworm/amd64")) as stack,
        running_server(folder, repository=stack.public, environ=settings) as server,
    ):
        front = site(folder, (certificate, key), port, server=server.port, public=stack.public)
        with running_nginx(folder, front, port):
            yield Fleet(server, stack, port, certificate)


def publish(running: Fleet, work: Path) -> None:
    """As ``make release-agent`` does."""
    subprocess.run([str(CHECKOUT / "debian/build"), str(work)], check=True, capture_output=True)
    (deb,) = work.glob("pi-hook_*_all.deb")
    done = running.stack.run("agent", str(deb), "--with-keys")
    assert done.status == 0, done.stderr


def release(running: Fleet, src: Path, version: str) -> None:
    """Build, publish and announce a release for both Debian releases."""
    settings = running.stack.settings
    if "[server]" not in settings.read_text():
        key = running.server.key("builder")
        settings.write_text(f'{settings.read_text()}\n[server]\nurl = "{running.server.url}"\napi_key = "{key}"\n')
    done = running.stack.release(src, version)
    assert done.status == 0, done.stderr


@contextmanager
def pi(suite: str, work: Path, running: Fleet) -> Iterator[tuple[AptRoot, Booted]]:
    """A Pi that runs and trusts the server's certificate."""
    with AptRoot((made(f"pi-{suite}", suite, PACKAGES),), work) as device:
        _prepare(device.path, running)
        device.run("update-ca-certificates")
        subprocess.run(["umount", device.path / "proc"], check=True)
        with booted(device.path) as system:
            yield device, system


@contextmanager
def whole_pi(suite: str, work: Path, running: Fleet) -> Iterator[Path]:
    """The same, not started, and in a folder of its own: an agent installs nothing on an overlay that may be gone."""
    root = work / "root"
    subprocess.run(["cp", "-a", made(f"pi-{suite}", suite, PACKAGES), root], check=True)
    try:
        _prepare(root, running)
        subprocess.run(["chroot", root, "update-ca-certificates"], check=True, capture_output=True)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _prepare(root: Path, running: Fleet) -> None:
    shutil.copy(running.certificate, root / "usr/local/share/ca-certificates/test.crt")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {NAME} {os.uname().nodename}\n")
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
