"""The server, spoken to over HTTP: JSON out, JSON in, over TLS with the system's authorities.

Plain http goes only to loopback and to the hosts that the settings name. Everything is bounded: the time to connect and
to read, and the size of an answer.
"""

from __future__ import annotations

import http.client
import json
import ssl
import traceback
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pi_hook.config import may_be_plain
from pi_hook.errors import BadMessageError, RefusedError, ServerError
from pi_hook.proxy import parse_proxy
from pi_hook.settings_keys import split_url
from pi_hook.wire import HeartbeatAnswer, Registered, parse_acknowledged, parse_error, statuses_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.identity import Identity
    from pi_hook.wire import Heartbeat, Registration, Status

_T = TypeVar("_T")

TIMEOUT_SECONDS = 10.0
"""For connecting, and for each read; the daemon does nothing else meanwhile, and its watchdog has to allow it."""
_LARGEST_ANSWER = 65_536
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
        self._scheme, self._host, self._port = split_url(url)
        if self._scheme == "http" and not may_be_plain(self._host, plain_http_hosts):
            raise ValueError(f"plain http to {self._host} is not allowed")
        self._agent = f"pi-hook/{agent_version}"
        self._timeout = timeout
        self._proxy = None if proxy is None else parse_proxy(proxy)
        self._tls: ssl.SSLContext | None = None

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

    def head(self, path: str, headers: dict[str, str]) -> int:
        """The status with which a path answers (``pi-hook doctor``): below 400, else it raises as every call does."""
        response, _ = self._ask("HEAD", path, None, headers)
        if response.status >= _CLIENT_ERRORS.start:
            _answer(response, b"")
        return response.status

    def _post(self, path: str, token: str, body: dict[str, Any]) -> object:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return _answer(*self._ask("POST", path, json.dumps(body, separators=(",", ":")).encode(), headers))

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection()
        headers = {**headers, "User-Agent": self._agent}
        if self._proxy is not None and self._scheme == "http":
            path, headers = f"http://{self._authority}{path}", {**headers, **self._proxy.headers}
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                raw = response.read(_LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: http.client's for an answer it cannot parse. TLS errors are OSErrors.
            # A tunnel that a proxy refuses leaves its answer, and with it the socket, open in http.client's frames.
            traceback.clear_frames(error.__traceback__)
            raise ServerError(f"{self._where} cannot be asked: {error or type(error).__name__}") from error
        finally:
            connection.close()
        return response, raw

    @property
    def _authority(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def _where(self) -> str:
        through = "" if self._proxy is None else f" through the proxy {self._proxy.host}:{self._proxy.port}"
        return f"{self._host}:{self._port}{through}"

    def _connection(self) -> http.client.HTTPConnection:
        """Not yet connected; through a proxy TLS is spoken with the server itself, inside a tunnel."""
        host, port = (self._host, self._port) if self._proxy is None else (self._proxy.host, self._proxy.port)
        if self._scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        if self._proxy is not None:
            connection.set_tunnel(self._host, self._port, self._proxy.headers)
        return connection


def _answer(response: http.client.HTTPResponse, raw: bytes) -> object:
    body: object = None
    if len(raw) <= _LARGEST_ANSWER:
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
    if response.status in _OK:
        if body is None:
            raise ServerError("the server's answer is not JSON or too large", kind="bad_answer", status=response.status)
        return body
    kind, message = parse_error(body) or ("http", f"HTTP {response.status} {response.reason}")
    if response.status == _PROXY_WANTS_CREDENTIALS:
        raise ServerError(
            "the proxy wants credentials; give them in network.proxy (http://USER:PASSWORD@HOST:PORT)",
            kind="proxy",
            status=response.status,
        )
    if response.status in _CLIENT_ERRORS and response.status != _TOO_MANY:
        raise RefusedError(message, kind=kind, status=response.status)
    raise ServerError(message, kind=kind, status=response.status, retry_after=_retry_after(response))


def _retry_after(response: http.client.HTTPResponse) -> float | None:
    # The form with a date needs a true clock, which may be what is missing.
    value = response.getheader("Retry-After", "")
    return min(float(value), _MOST_RETRY_AFTER) if value.isascii() and value.isdigit() else None


def _parsed(parse: Callable[[object], _T], body: object) -> _T:
    try:
        return parse(body)
    except BadMessageError as error:
        raise ServerError(str(error), kind="bad_answer") from error
