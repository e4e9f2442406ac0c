"""The server, spoken to over HTTP: JSON out, JSON in.

Plain http goes only to loopback and to the hosts that the settings name. Everything is bounded: the time to connect and
to read, and the size of an answer (``pi_hook.http``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pi_hook.config import may_be_plain
from pi_hook.errors import BadMessageError, RefusedError, ServerError
from pi_hook.http import LARGEST_BODY, Address, HttpError
from pi_hook.proxy import parse_proxy
from pi_hook.settings_keys import split_url
from pi_hook.wire import HeartbeatAnswer, Registered, parse_acknowledged, parse_error, statuses_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.http import Reply
    from pi_hook.identity import Identity
    from pi_hook.wire import Heartbeat, Registration, Status

_T = TypeVar("_T")

TIMEOUT_SECONDS = 10.0
"""For connecting, and for each read; the daemon does nothing else meanwhile, and its watchdog has to allow it."""
_MOST_RETRY_AFTER = 86_400.0
_OK = range(200, 300)
_TOO_MANY = 429
_PROXY_WANTS_CREDENTIALS = 407
_CLIENT_ERRORS = range(400, 500)


class Server(Protocol):
    """What the daemon asks of the server. Real: ``HttpServer``.

    Every call raises ``RefusedError`` where the same request would be refused again, and ``ServerError`` where trying
    again later may help.
    """

    def register(self, enrollment_token: str, registration: Registration) -> Registered: ...

    def heartbeat(self, identity: Identity, heartbeat: Heartbeat) -> HeartbeatAnswer: ...

    def report(self, identity: Identity, batch: list[Status]) -> int:
        """Send statuses of one update; the sequence up to which they are recorded."""

    def rotate(self, identity: Identity, token_sha256: str) -> None:
        """Tell the hash of the next token; the old one is good until the new one is first used."""


class HttpServer:
    """``Server`` at ``https://HOST[:PORT]``. Raises ``ValueError`` for plain http to a host that is not allowed."""

    def __init__(
        self,
        url: str,
        plain_http_hosts: frozenset[str] = frozenset(),
        *,
        agent_version: str = "0",
        timeout: float = TIMEOUT_SECONDS,
        proxy: str | None = None,
    ) -> None:
        scheme, host, port = split_url(url)
        if scheme == "http" and not may_be_plain(host, plain_http_hosts):
            raise ValueError(f"plain http to {host} is not allowed")
        self._agent = f"pi-hook/{agent_version}"
        via = None if proxy is None else parse_proxy(proxy)
        self._name = f"{host}:{port}" + (f" through the proxy {via.host}:{via.port}" if via is not None else "")
        self._address = Address(host, port, tls=scheme == "https", timeout=timeout, proxy=via)

    def register(self, enrollment_token: str, registration: Registration) -> Registered:
        """Make the device known; repeating it after a lost answer changes nothing."""
        return _parsed(Registered.parse, self._post("/api/v1/devices/", enrollment_token, registration.to_json()))

    def heartbeat(self, identity: Identity, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Say how the device is, hear what it may do."""
        path = f"/api/v1/devices/{identity.device_id}/heartbeat"
        return _parsed(HeartbeatAnswer.parse, self._post(path, identity.token, heartbeat.to_json()))

    def report(self, identity: Identity, batch: list[Status]) -> int:
        """Send statuses of one update."""
        path = f"/api/v1/devices/{identity.device_id}/updates/{batch[0].update_id}/status"
        return _parsed(parse_acknowledged, self._post(path, identity.token, statuses_body(batch)))

    def rotate(self, identity: Identity, token_sha256: str) -> None:
        """Tell the hash of the next token; repeating it after a lost answer changes nothing."""
        self._post(f"/api/v1/devices/{identity.device_id}/token", identity.token, {"token_sha256": token_sha256})

    def head(self, path: str, headers: dict[str, str]) -> int:
        """The status with which a path answers (``pi-hook doctor``): below 400, else it raises as every call does."""
        reply = self._ask("HEAD", path, headers)
        if reply.status >= _CLIENT_ERRORS.start:
            _answer(reply)
        return reply.status

    def _post(self, path: str, token: str, body: dict[str, Any]) -> object:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return _answer(self._ask("POST", path, headers, json.dumps(body, separators=(",", ":")).encode()))

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Reply:
        try:
            return self._address.ask(method, path, {**headers, "User-Agent": self._agent}, body)
        except (OSError, HttpError) as error:
            raise ServerError(f"{self._name} cannot be asked: {error or type(error).__name__}") from error


def _answer(reply: Reply) -> object:
    body: object = None
    if len(reply.body) <= LARGEST_BODY:
        try:
            body = json.loads(reply.body)
        except (ValueError, RecursionError):
            body = None
    if reply.status in _OK:
        if body is None:
            raise ServerError("the server's answer is not JSON or too large", kind="bad_answer", status=reply.status)
        return body
    kind, message = parse_error(body) or ("http", f"HTTP {reply.status} {reply.reason}".rstrip())
    if reply.status == _PROXY_WANTS_CREDENTIALS:
        raise ServerError(
            "the proxy wants credentials; give them in network.proxy (http://USER:PASSWORD@HOST:PORT)",
            kind="proxy",
            status=reply.status,
        )
    if reply.status in _CLIENT_ERRORS and reply.status != _TOO_MANY:
        raise RefusedError(message, kind=kind, status=reply.status)
    raise ServerError(message, kind=kind, status=reply.status, retry_after=_retry_after(reply))


def _retry_after(reply: Reply) -> float | None:
    # The form with a date needs a true clock, which may be what is missing.
    value = reply.headers.get("retry-after", "")
    return min(float(value), _MOST_RETRY_AFTER) if value.isascii() and value.isdigit() else None


def _parsed(parse: Callable[[object], _T], body: object) -> _T:
    try:
        return parse(body)
    except BadMessageError as error:
        raise ServerError(str(error), kind="bad_answer") from error
