"""Whether a program on the server's own machine asks."""

from __future__ import annotations

import ipaddress

from flask import request

from repo_server.proxies import FORWARDED


def from_this_machine() -> bool:
    """Whether a program on this machine asks us itself.

    What a proxy passes on also comes from loopback where nobody named it as a proxy; it is known by its headers or by
    the name that was asked for.
    """
    if FORWARDED in request.environ:
        return False
    name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    return _is_loopback(request.remote_addr or "") and (name == "localhost" or _is_loopback(name.strip("[]")))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
