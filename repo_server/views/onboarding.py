"""What a Pi fetches before it is a device, without credentials: nothing of it is secret."""

from __future__ import annotations

from flask import Blueprint, Response, request

from repo_server import onboarding
from repo_server.context import context
from repo_server.desk import new_pi
from repo_server.errors import BadRequestError, NotFoundError
from repo_server.operations import FILE, NOT_MODIFIED, NOTHING, Asks, Content, operation

blueprint = Blueprint("onboarding", __name__)
_TEXT = Content("text/plain", {"type": "string"})


@blueprint.get(onboarding.SCRIPT)
@operation(
    "The shell script that puts the agent on a Pi that runs, with this server's address in it",
    {200: _TEXT, NOT_MODIFIED: NOTHING},
    asks=Asks.ANYONE,
    takes=("If-None-Match",),
)
def script() -> Response:
    """For ``curl … | sudo sh``, and as text for people who read it first."""
    try:
        server = new_pi.address(request.root_url)
    except ValueError as error:
        raise BadRequestError(f"the address of this server, as it was asked, {error}") from error
    return _answer(onboarding.script(server).encode(), "text/plain")


@blueprint.get(onboarding.KEYRING)
@operation(
    "The public keys that sign the repository, as apt takes them in Signed-By",
    {200: FILE, NOT_MODIFIED: NOTHING},
    asks=Asks.ANYONE,
    refusals=(404,),
    takes=("If-None-Match",),
)
def keyring() -> Response:
    """From the newest published keyring package."""
    found = onboarding.keyring(context().settings.repository)
    if found is None:
        raise NotFoundError(f"the package with the fleet's keys is not published yet: {onboarding.PUBLISHED_BY}")
    return _answer(found, "application/octet-stream")


def _answer(content: bytes, media_type: str) -> Response:
    response = Response(content, mimetype=media_type)
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"  # a proxy that kept an old script would outlive its mending
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response
