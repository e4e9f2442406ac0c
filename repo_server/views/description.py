"""The API's description of itself."""

from __future__ import annotations

import json

from flask import Blueprint, Response, current_app, request

from repo_server import openapi
from repo_server.operations import Content, operation

blueprint = Blueprint("description", __name__)
_KEY = "repo_server.openapi"


@blueprint.get("/openapi.json")
@operation("This description", {200: Content("application/json", {"type": "object"})})
def described() -> Response:
    """OpenAPI 3.1, made at the first call; a session's cookie has another name without TLS."""
    key = f"{_KEY} {request.scheme}"
    text = current_app.extensions.get(key)
    if text is None:
        text = json.dumps(openapi.document(current_app, tls=request.is_secure)) + "\n"
        current_app.extensions[key] = text
    return Response(text, mimetype="application/json")
