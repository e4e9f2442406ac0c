"""Figures for Prometheus."""

from __future__ import annotations

import ipaddress

from flask import Blueprint, Response, current_app, request

from repo_server import metrics
from repo_server.auth import API_KEY_HEADER, check_api_key
from repo_server.operations import Asks, Content, operation
from repo_server.proxies import FORWARDED
from repo_server.roles import Right

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@operation(
    "Figures for Prometheus",
    {200: Content("text/plain", {"type": "string"})},
    right=Right.VIEW,
    asks=Asks.LOOPBACK,
)
def scraped() -> Response:
    """In Prometheus's text format."""
    if request.headers.get(API_KEY_HEADER) or not _from_this_machine():
        check_api_key(Right.VIEW)
    measured: metrics.Metrics = current_app.extensions[metrics.KEY]
    return Response(measured.text(), content_type=metrics.CONTENT_TYPE)


def _from_this_machine() -> bool:
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
