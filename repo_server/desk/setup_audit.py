"""Who changed what, and what it was before."""

from __future__ import annotations

import re
from http import HTTPStatus

from flask import Blueprint, Response, request

from repo_server.context import context
from repo_server.desk import addresses, audit_words, page
from repo_server.desk.problems import validated
from repo_server.roles import Right
from repo_server.store import audit
from repo_server.wire_identity import AuditQuery

blueprint = Blueprint("desk_setup_audit", __name__)
PAGE = "/setup/audit"
FILTERS = ("who", "action", "subject", "since", "until")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?", re.ASCII)
"""As a browser's field for a time gives it, without a zone."""


@blueprint.get(PAGE)
@page.page(Right.ADMINISTER)
def show() -> Response:
    """One page of changes, the newest first."""
    typed = {name: text for name in FILTERS if (text := request.args.get(name, "").strip())}
    asked: dict[str, object] = dict(typed)
    asked |= {name: instant(typed[name]) for name in ("since", "until") if name in typed}
    cursor = request.args.get("cursor")
    query, problems = validated(AuditQuery, asked | ({"cursor": cursor} if cursor else {}))
    connection = context().db.connection()
    found = audit.list_page(connection, query) if query is not None else None
    told = [audit_words.told(one) for one in found.items] if found is not None else []
    return page.render(
        "setup_audit.html",
        HTTPStatus.OK if query is not None else HTTPStatus.UNPROCESSABLE_ENTITY,
        entries=told,
        names=audit.names(connection, {one.entry.subject for one in told}),
        typed=typed,
        problems=problems,
        actions=[("", "everything"), *audit_words.ACTIONS.items()],
        next_page=addresses.anew(PAGE, typed, cursor=found.next_cursor) if found and found.next_cursor else None,
        first_page=addresses.build(PAGE, typed) if cursor else None,
        filtered=lambda **more: addresses.build(PAGE, typed | more),
    )


def instant(text: str) -> str:
    """A time without a zone is one of UTC; anything else is left for the check."""
    if not _LOCAL.fullmatch(text):
        return text
    day, _, time = text.partition("T")
    return f"{day}T{time or '00:00'}{':00' if time.count(':') < 2 else ''}Z"  # noqa: PLR2004 - hours:minutes:seconds
