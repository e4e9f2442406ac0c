"""What the server accepts about keys, tokens and the audit log; as strict as ``wire``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from repo_server.roles import Role
from repo_server.wire import LINE, WHOLE, Body, Channel, Instant, Line, PageQuery, Query, Sha256

_MOST_USES = 1_000_000


class ApiKeyRequest(Body):
    """POST /api/v1/api-keys/."""

    name: Line
    role: Role
    expires_at: Instant | None = None


class EnrollmentTokenRequest(Body):
    """POST /api/v1/enrollment-tokens/."""

    name: Line
    uses: Annotated[int, Field(ge=1, le=_MOST_USES), WHOLE] | None = None
    """How many devices may register; null is any number."""
    expires_at: Instant | None = None
    group: Channel | None = None
    channel: Channel | None = None
    approval: bool = False
    recovery: bool = False
    """Let devices that are not known here ask for approval with their own token; takes ``uses`` and ``expires_at``."""


class TokenRotation(Body):
    """POST /api/v1/devices/{id}/token."""

    token_sha256: Sha256
    """Of the device's next token, which it has made itself."""


class DecommissionQuery(Query):
    """DELETE /api/v1/devices/{id}."""

    erase: bool = False
    """Delete what is kept about the home as well."""


class ApproveQuery(Query):
    """POST /api/v1/devices/{id}/approve."""

    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = None
    """Of the token that the operator has seen; with another one waiting by now, nothing is approved."""


class AuditQuery(PageQuery):
    """GET /api/v1/audit."""

    who: Annotated[str, StringConstraints(pattern=LINE, max_length=300)] | None = None
    """Who did it, as ``key:NAME``, ``cli:USER``, ``device:ID`` or ``server``."""
    action: Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$", max_length=64)] | None = None
    """What was done, as ``device.change``."""
    subject: Annotated[str, StringConstraints(pattern=LINE, max_length=300)] | None = None
    """The id of what it was done to."""
    since: Instant | None = None
    """From this instant on."""
    until: Instant | None = None
    """Before this instant."""
