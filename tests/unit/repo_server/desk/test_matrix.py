"""Every page and action for every role and nobody: who may look and act is what each declares, and no more."""

from __future__ import annotations

import re

import pytest

from repo_server.desk.page import RIGHT
from repo_server.roles import Right, Role, allows
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.desk.conftest import Desk

OPEN = {"/static/<path:filename>", "/sign-in"}
"""For everybody."""
BY_HAND = {"/sign-out", "/live"}
"""They let in whoever has a session, and whoever may look: see test_frame.py."""
NO_SUCH = "0195e0c8-0000-7000-8000-00000000000f"


def rules(service: Service) -> list[tuple[str, str, Right | None]]:
    """Method, address and right of every page and action."""
    app = service.app
    return sorted(
        (method, rule.rule, getattr(app.view_functions[rule.endpoint], RIGHT, None))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("desk") and rule.rule not in OPEN | BY_HAND
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def address(rule: str) -> str:
    return re.sub(r"<(?:\w+:)?\w+>", NO_SUCH, rule)


def test_each_says_what_right_it_asks_for(service: Service) -> None:
    assert [(method, rule) for method, rule, right in rules(service) if right is None] == []


def test_nobody_gets_in(desk: Desk) -> None:
    before = desk.service.dump()
    for method, rule, _ in rules(desk.service):
        browser = desk.nobody()
        answer = browser.get(address(rule)) if method == "GET" else browser.post(address(rule))
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/sign-in"), (method, rule)
    assert desk.service.dump() == before


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gets_in_exactly_where_its_rights_allow(desk: Desk, role: Role) -> None:
    browser = desk.as_(role)
    for method, rule, right in rules(desk.service):
        answer = browser.get(address(rule)) if method == "GET" else browser.post(address(rule))
        assert right is not None
        allowed = allows(role, right)
        assert (answer.status_code == 403) is not allowed, (method, rule, answer.status_code)
        assert answer.status_code < 500 or answer.status_code == 503, (method, rule)


def test_who_may_act_still_brings_the_page_s_token(desk: Desk) -> None:
    browser = desk.as_("admin")
    before = desk.service.dump()
    for method, rule, _ in rules(desk.service):
        if method == "POST":
            assert browser.post(address(rule), {"csrf_token": "0" * 64}).status_code == 403, rule
    assert desk.service.dump() == before
