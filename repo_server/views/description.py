"""The API's description of itself."""

from __future__ import annotations

import json

from flask import Blueprint, Response, current_app

from repo_server import openapi
from repo_server.operations import Content, operation

blueprint = Blueprint("description", __name__)
_KEY = "repo_server.openapi"


@blueprint.get("/openapi.json")
@operation("This description", {200: Content("application/json", {"type": "object"})})
def described() -> Response:
    """OpenAPI 3.1, made at the first call."""
    text = current_app.extensions.get(_KEY)
    if text is None:
        text = current_app.extensions[_KEY] = json.dumps(openapi.document(current_app)) + "\n"
    return Response(text, mimetype="application/json")
