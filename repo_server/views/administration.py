"""API keys, enrollment tokens and the audit log, for admins."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response

from repo_server import administration, answers, answers_identity, body, wire, wire_identity
from repo_server.auth import who
from repo_server.context import context
from repo_server.operations import NOTHING, operation
from repo_server.roles import Right
from repo_server.store import audit, credentials

blueprint = Blueprint("administration", __name__)


@blueprint.post("/api-keys/")
@operation(
    "Make an API key; its secret is shown this once",
    {201: answers_identity.NewApiKey},
    right=Right.ADMINISTER,
    body=wire_identity.ApiKeyRequest,
)
def create_api_key() -> Response:
    """A key for a person or a program."""
    here = context()
    return _once(administration.create_api_key(here.db, body.read(wire_identity.ApiKeyRequest), who(), here.clock()))


@blueprint.get("/api-keys/")
@operation(
    "List the API keys",
    {200: answers.Page[answers_identity.ApiKey]},
    right=Right.ADMINISTER,
    query=wire.PageQuery,
)
def api_keys() -> Response:
    """The oldest first, revoked ones too, without their secrets."""
    rows = credentials.list_api_keys(context().db.connection(), body.read_query(wire.PageQuery))
    return answers.respond(rows)


@blueprint.delete("/api-keys/<uuid:key_id>")
@operation("Revoke an API key", {204: NOTHING}, right=Right.ADMINISTER, refusals=(409,))
def revoke_api_key(key_id: uuid.UUID) -> Response:
    """The key is good for nothing from now on."""
    here = context()
    administration.revoke_api_key(here.db, str(key_id), who(), here.clock())
    return Response(status=204)


@blueprint.post("/enrollment-tokens/")
@operation(
    "Make an enrollment token; its secret is shown this once",
    {201: answers_identity.NewEnrollmentToken},
    right=Right.ADMINISTER,
    body=wire_identity.EnrollmentTokenRequest,
)
def create_enrollment_token() -> Response:
    """A token with which devices register."""
    here = context()
    given = body.read(wire_identity.EnrollmentTokenRequest)
    return _once(administration.create_enrollment_token(here.db, given, who(), here.clock()))


@blueprint.get("/enrollment-tokens/")
@operation(
    "List the enrollment tokens",
    {200: answers.Page[answers_identity.EnrollmentToken]},
    right=Right.ADMINISTER,
    query=wire.PageQuery,
)
def enrollment_tokens() -> Response:
    """The oldest first, revoked ones too, without their secrets."""
    rows = credentials.list_enrollment_tokens(context().db.connection(), body.read_query(wire.PageQuery))
    return answers.respond(rows)


@blueprint.delete("/enrollment-tokens/<uuid:token_id>")
@operation("Revoke an enrollment token", {204: NOTHING}, right=Right.ADMINISTER)
def revoke_enrollment_token(token_id: uuid.UUID) -> Response:
    """Nobody registers with it any more."""
    here = context()
    administration.revoke_enrollment_token(here.db, str(token_id), who(), here.clock())
    return Response(status=204)


@blueprint.get("/audit")
@operation(
    "Who changed what, the newest first",
    {200: answers.Page[answers_identity.AuditEntry]},
    right=Right.ADMINISTER,
    query=wire_identity.AuditQuery,
)
def audit_log() -> Response:
    """Each with what it was before and after; never a secret."""
    rows = audit.list_page(context().db.connection(), body.read_query(wire_identity.AuditQuery))
    return answers.respond(rows)


def _once(made: answers.Answer) -> Response:
    """A secret is shown this once, and kept by nobody on the way."""
    response = answers.respond(made, 201)
    response.headers["Cache-Control"] = "no-store"
    return response
