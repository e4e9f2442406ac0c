"""The HTTP proxy that agent and apt go through, where ``network.proxy`` is set. Its credentials are never shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_USER_INFO = r"[A-Za-z0-9._~!$&'()*+,;=%-]"
_PROXY = re.compile(
    rf"http://(?:(?P<user>{_USER_INFO}+)(?::(?P<password>{_USER_INFO}*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})/?"
)
_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens, and what it is told of who asks."""

    host: str
    """Without brackets."""
    port: int
    authorization: str | None = field(default=None, repr=False)
    """The value of ``Proxy-Authorization``."""

    @property
    def headers(self) -> dict[str, str]:
        """What goes to the proxy, and to nobody beyond it."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


def parse_proxy(url: str) -> Proxy:
    """``http://[USER:PASSWORD@]HOST:PORT``; special characters of the credentials are percent-encoded.

    Raises ``ValueError`` without repeating what was given.
    """
    match = _PROXY.fullmatch(url)
    if match is None or int(match["port"]) not in range(1, _LARGEST_PORT + 1):
        raise ValueError(
            "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with special characters of the credentials "
            "percent-encoded"
        )
    authorization = None
    if match["user"] is not None:
        import base64  # noqa: PLC0415  # half a megabyte that devices without credentials do not pay
        from urllib.parse import unquote  # noqa: PLC0415  # as above

        plain = f"{unquote(match['user'])}:{unquote(match['password'] or '')}"
        authorization = "Basic " + base64.b64encode(plain.encode()).decode("ascii")
    return Proxy(match["host"].strip("[]"), int(match["port"]), authorization)
