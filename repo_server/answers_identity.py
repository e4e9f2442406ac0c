"""What the server answers about keys, tokens and the audit log. See docs/INTERFACES.md."""

from __future__ import annotations

from typing import Any

from repo_server.answers import Answer, Time
from repo_server.roles import Role


class ApiKey(Answer):
    """A key, without its secret, which is stored nowhere."""

    id: str
    name: str
    role: Role
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NewApiKey(ApiKey):
    """A key that was made just now; its secret is never shown again."""

    secret: str


class Session(Answer):
    """Who has signed in, and until when."""

    name: str
    """Of the API key that the session stands for."""
    role: Role
    created_at: Time
    expires_at: Time
    """However much it is used."""
    idle_seconds: int
    """It ends earlier where it is not used for so long."""
    csrf_token: str
    """Goes into the header X-CSRF-Token of every request but GET and HEAD."""


class EnrollmentToken(Answer):
    """A token with which devices register, without its secret."""

    id: str
    name: str
    uses: int
    uses_allowed: int | None
    """Null: any number."""
    group: str | None
    channel: str | None
    """Wins over the channel that a device asks for."""
    approval: bool
    """Whether an operator has to approve each device."""
    recovery: bool
    """Devices that are not known here may ask for approval with their own token, while this lasts."""
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NewEnrollmentToken(EnrollmentToken):
    """A token that was made just now; its secret is never shown again. A recovery has none."""

    secret: str | None


class TokenTaken(Answer):
    """To a device's next token: it may be used from now on."""

    id: str
    fingerprint: str


class AuditEntry(Answer):
    """One change: who made it, when, of what, and what it was before and after."""

    id: int
    at: Time
    who: str
    """``key:NAME``, ``cli:USER``, ``enrollment_token:NAME``, ``device:ID`` or ``server``."""
    action: str
    subject: str
    detail: dict[str, Any]
    """``before`` and ``after`` where there is something to say; never a secret."""


class Export(Answer):
    """Everything that is kept about one device; the tables' rows as they are, of tokens only the fingerprints."""

    exported_at: Time
    device: dict[str, Any]
    heartbeats: list[dict[str, Any]]
    updates: list[dict[str, Any]]
    events: list[dict[str, Any]]
    audit: list[AuditEntry]
