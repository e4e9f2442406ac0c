"""Install, upgrade, mend: the same steps in the same order."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from repo_server.install import accounts, certificates, fleet, services, site
from repo_server.install.machine import InstallError, Machine

_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_START_SECONDS = 60


def install(machine: Machine, host: str | None, tls: str, email: str | None) -> Iterator[str]:
    """Make a server of this machine; yields what a person has to know at the end. Raises ``InstallError``.

    ``host`` may be None where a server is there already; ``tls`` is ``own`` or ``certbot``.
    """
    host = _name(host or fleet.known_host(machine))
    accounts.make(machine)
    fleet.settings(machine, host)
    services.commands(machine)
    admin_key = fleet.database(machine)
    if admin_key is not None:  # at once: it is written nowhere, and what comes next may fail
        yield f"admin key   {admin_key}   (shown this once; sign in with it at https://{host}/)"
    fleet.copied(machine)
    fleet.builder(machine, host)
    services.make(machine)
    services.start(machine)
    certificates.own(machine, host, datetime.now(UTC))
    site.make(machine, host)
    wait_until_ready()
    if tls == "certbot":
        certificates.public(machine, host, email)
        machine.run("systemctl", "reload", "nginx")
    digest = certificates.fingerprint(machine)
    if digest is not None:
        yield f"authority   http://{host}/pi-ota-ca.crt   sha256 {digest}"
    yield f"server      https://{host}/"
    yield "see         repo-server doctor"


def wait_until_ready() -> None:
    """Until the server answers that it can work. Raises ``InstallError`` after a minute."""
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready():
        if time.monotonic() > deadline:
            raise InstallError("the server does not start; `journalctl -u pi-ota-server` says why.")
        time.sleep(0.2)


def _is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _name(host: str | None) -> str:
    if not host:
        raise InstallError(
            "say under which name devices reach this server: sudo make install-server HOST=updates.example.org"
        )
    if _HOST.fullmatch(host) is None:
        raise InstallError(
            f"{host!r} is no name that a certificate can be made for: write one such as updates.example.org."
        )
    return host
