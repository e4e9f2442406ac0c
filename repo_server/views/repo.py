"""The published repository, for apt."""

from __future__ import annotations

from flask import Blueprint, Response, send_file

from repo_server import archive
from repo_server.auth import check_repository
from repo_server.context import context
from repo_server.errors import NotFoundError
from repo_server.operations import FILE, NOT_MODIFIED, NOTHING, Asks, operation

blueprint = Blueprint("repo", __name__)


@blueprint.get("/repo/<path:name>")
@operation(
    "A file of the published repository",
    {200: FILE, 206: FILE, NOT_MODIFIED: NOTHING},
    asks=Asks.REPOSITORY,
    refusals=(416,),
    takes=("Range", "If-Range", "If-None-Match", "If-Modified-Since"),
)
def serve(name: str) -> Response:
    """One file, whole or in ranges, or 304 where the client has it already; by nginx's hand where the settings say so.

    A file that may still change under the same date is always sent by us: nginx would believe the date.
    """
    check_repository(name)
    settings = context().settings
    found = archive.find(settings.repository, name)
    if found is None:
        raise NotFoundError("the repository has no such file")
    date = found.stat().st_mtime
    settled = not archive.unsettled(name, date, context().clock().timestamp())
    if settings.accel_prefix is not None and settled:
        response = Response(mimetype=_type(name))
        response.headers["X-Accel-Redirect"] = archive.internal_address(
            settings.accel_prefix, settings.repository, found
        )
    else:
        date = date if settled else date - 1
        response = send_file(found, mimetype=_type(name), conditional=settled, etag=True, last_modified=date)
    response.headers["Cache-Control"] = archive.cache_control(name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _type(name: str) -> str:
    return "application/vnd.debian.binary-package" if name.endswith(".deb") else "application/octet-stream"
