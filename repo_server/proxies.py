"""The client's address behind a reverse proxy: believed only from proxies that the settings name.

Anyone can send ``X-Forwarded-For``. So it counts only from a trusted peer, read from its right end (what the nearest
proxy has seen) to the first address that is no trusted proxy; from everyone else it is thrown away.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

UNIX = "unix"
"""Whoever may open the server's Unix socket."""
FORWARDED = "repo_server.forwarded"
"""In the WSGI environment where somebody said that the request was forwarded, trusted or not."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEADERS = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX", "HTTP_FORWARDED", "HTTP_X_REAL_IP",
)  # fmt: skip


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks as text, without ``unix``. Raises ``ValueError`` for one that is none."""
    return tuple(ipaddress.ip_network(name) for name in names if name != UNIX)


class TrustedProxies:
    """WSGI middleware."""

    def __init__(self, app: WSGIApplication, trusted: Sequence[str]) -> None:
        self._app = app
        self._unix = UNIX in trusted
        self._networks = networks(trusted)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Set ``REMOTE_ADDR`` and the scheme to the client's; nothing behind this sees a forwarding header."""
        said = {name: environ.pop(name) for name in _HEADERS if name in environ}
        if said:
            environ[FORWARDED] = True
            if self._trusts(environ.get("REMOTE_ADDR", "")):
                environ["REMOTE_ADDR"] = self._client(said.get("HTTP_X_FORWARDED_FOR", ""), environ)
                if said.get("HTTP_X_FORWARDED_PROTO") in {"http", "https"}:
                    environ["wsgi.url_scheme"] = said["HTTP_X_FORWARDED_PROTO"]
        return self._app(environ, start_response)

    def _trusts(self, peer: str) -> bool:
        if not peer:
            return self._unix
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def _client(self, forwarded_for: str, environ: WSGIEnvironment) -> str:
        nearest: str = environ.get("REMOTE_ADDR", "")
        for part in reversed(forwarded_for.split(",")):
            address = _address(part.strip())
            if address is None:
                break
            nearest = address
            if not self._trusts(address):
                break
        return nearest


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
