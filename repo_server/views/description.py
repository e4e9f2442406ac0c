"""The API's description of itself."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from repo_server import openapi

blueprint = Blueprint("description", __name__)


@blueprint.get("/openapi.json")
def described() -> Response:
    """OpenAPI 3.1."""
    return jsonify(openapi.document())
