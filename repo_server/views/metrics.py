"""Figures for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from repo_server import metrics
from repo_server.auth import API_KEY_HEADER, check_api_key
from repo_server.nearby import from_this_machine
from repo_server.operations import Asks, Content, operation
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
    if request.headers.get(API_KEY_HEADER) or not from_this_machine():
        check_api_key(Right.VIEW)
    measured: metrics.Metrics = current_app.extensions[metrics.KEY]
    return Response(measured.text(), content_type=metrics.CONTENT_TYPE)
