"""How long a key or a token is good: as people type it, and how it stands with one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from repo_server import durations, times
from repo_server.answers_identity import ApiKey, EnrollmentToken
from repo_server.attention import API_KEY_AHEAD


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a key or token."""

    kind: str
    """A badge's: ``ok``, ``wait``, ``warn``, ``bad``, ``idle``."""
    words: str
    good: bool


_GOOD = Standing("ok", "good", good=True)
_REVOKED = Standing("idle", "revoked", good=False)
_EXPIRED = Standing("idle", "expired", good=False)


def until(text: str, now: datetime) -> str | None:
    """``30m``, ``12h``, ``7d``, or an instant, as the API has it; None for nothing, which is for ever.

    Raises ``ValueError`` with words that complete "this must be".
    """
    typed = text.strip()
    if not typed:
        return None
    try:
        return times.render(now + durations.parse(typed))
    except (ValueError, OverflowError):
        pass
    try:
        return times.render(times.parse(typed))
    except ValueError:
        message = "must be a length of time such as 30m, 12h or 7d, or an instant such as 2026-12-24T18:00:00Z"
        raise ValueError(message) from None


def of_key(key: ApiKey, now: datetime) -> Standing:
    """How it stands with an API key."""
    if key.revoked_at is not None:
        return _REVOKED
    if key.expires_at is not None and key.expires_at <= now:
        return _EXPIRED
    if key.expires_at is not None and key.expires_at - now <= API_KEY_AHEAD:
        return Standing("warn", "expires soon", good=True)
    return _GOOD


def of_token(token: EnrollmentToken, now: datetime) -> Standing:
    """How it stands with an enrollment token."""
    if token.revoked_at is not None:
        return _REVOKED
    if token.expires_at is not None and token.expires_at <= now:
        return _EXPIRED
    if uses_left(token) == 0:
        return Standing("idle", "used up", good=False)
    return Standing("wait", "recovery is open", good=True) if token.recovery else _GOOD


def uses_left(token: EnrollmentToken) -> int | None:
    """How many devices may still register with it; None is any number."""
    return None if token.uses_allowed is None else max(0, token.uses_allowed - token.uses)
