"""Failed attempts to be somebody: how many an address, and one presented identity, may make in a minute.

Credentials are always looked at first, and whoever has the right ones is served: a stranger behind the same address
(the same home, office or proxy) can lock nobody out. Only the answer to wrong credentials changes, from 401 to 429.
Secrets have 256 random bits, so this is not what keeps guessers out; it tells a broken or hostile client to go slower,
and makes trying many ids or keys as slow as trying one.

In memory and bounded: a restart forgives, and of more than ``MOST`` names the ones seen longest ago are forgotten.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime

from flask import Flask, Response, request

from repo_server.errors import UnauthorizedError, error_response

MOST = 10_000
_LONGEST_NAME = 100
_HOME_BITS = 64
_MINUTE = 60.0


class Attempts:
    """A bucket for each name: it holds ``per_minute`` attempts and is filled at that rate. Threads may share it."""

    def __init__(self, per_minute: int, most: int = MOST) -> None:
        """``per_minute``: 0 is no limit."""
        self._per_minute, self._most = per_minute, most
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def failed(self, names: Iterable[str], now: datetime) -> float | None:
        """Count one failed attempt for each name; seconds to wait where one of them had no attempt left, else None."""
        if self._per_minute == 0:
            return None
        with self._lock:
            return max((self._take(name[:_LONGEST_NAME], now) for name in names), default=0.0) or None

    def __len__(self) -> int:
        return len(self._buckets)

    def _take(self, name: str, now: datetime) -> float:
        rate = self._per_minute / _MINUTE
        left, since = self._buckets.pop(name, (float(self._per_minute), now))
        # The clock may be set back.
        left = min(float(self._per_minute), left + max(0.0, (now - since).total_seconds()) * rate)
        allowed = left >= 1.0
        self._buckets[name] = (left - 1.0 if allowed else left, now)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / rate


def address(remote: str | None) -> str:
    """Whom an address belongs to, as far as can be told: a whole /64 of IPv6 is one home."""
    try:
        found = ipaddress.ip_address(remote or "")
    except ValueError:
        return remote or "unix"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _HOME_BITS), strict=False))
    return str(found)


def install(app: Flask, per_minute: int, clock: Callable[[], datetime]) -> None:
    """Answer wrong credentials with 401, and with 429 whoever has sent too many of them."""
    attempts = Attempts(per_minute)

    @app.errorhandler(UnauthorizedError)
    def unauthorized(error: UnauthorizedError) -> Response:
        if error.attempt is not None:
            wait = attempts.failed((f"address {address(request.remote_addr)}", error.attempt), clock())
            if wait is not None:
                seconds = math.ceil(wait)
                message = f"too many attempts with wrong credentials; try again in {seconds} s, with the right ones"
                return error_response(429, message, {"Retry-After": str(seconds)})
        return error_response(error.status, str(error), error.headers)
