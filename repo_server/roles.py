"""Roles and what each may do. Pure."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Of an API key."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    BUILDER = "builder"
    ADMIN = "admin"


class Right(StrEnum):
    """What an endpoint asks for."""

    VIEW = "view"
    OPERATE = "operate"
    ANNOUNCE = "announce"
    """Publish releases: announce them, and see which versions of them are in use, in numbers."""
    RELEASES = "releases"
    """See what was released: versions, notes, packages; nothing of a device."""
    WITHDRAW = "withdraw"
    """Who may stop a release may take it back, and so may who has published it."""
    FETCH = "fetch"
    """Read the published repository."""
    ADMINISTER = "administer"


_RIGHTS = {
    Role.VIEWER: {Right.VIEW, Right.RELEASES, Right.FETCH},
    Role.OPERATOR: {Right.VIEW, Right.RELEASES, Right.OPERATE, Right.WITHDRAW, Right.FETCH},
    # A build machine needs to know nothing about homes.
    Role.BUILDER: {Right.ANNOUNCE, Right.RELEASES, Right.WITHDRAW, Right.FETCH},
    Role.ADMIN: set(Right),
}


def allows(role: Role, right: Right) -> bool:
    """Whether a key of this role may do this."""
    return right in _RIGHTS[role]


def roles_with(right: Right) -> list[Role]:
    """The roles that may, the least first; for sentences."""
    return [role for role in Role if allows(role, right)]
