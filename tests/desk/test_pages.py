"""Every page in light, in dark and on a phone: nothing keeps people out, no error, no other host, nothing cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has none
from playwright.sync_api import Page

from repo_server.app import create_app
from repo_server.config import Settings
from repo_server.context import KEY
from tests.desk.browsing import PHONE, WIDE, Visitor
from tests.desk.conftest import Desk
from tests.desk.pages import ACTIONS, Look, looks

NO_PAGES = {"/sign-out", "/live", "/static/<path:filename>", "/devices/<uuid:device_id>/export"}
_SERIOUS = ("serious", "critical")
_NAMES = [look.name for look in looks(None)]


def test_every_page_is_looked_at_and_every_action_is_tried(desk: Desk, tmp_path: Path) -> None:
    """A new page is added to ``pages.looks``, a new action to ``pages.ACTIONS`` and to a test of what it does."""
    app = create_app(Settings(state_dir=tmp_path / "state"))
    app.extensions[KEY].db.close()
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("desk")}
    known = {look.rule for look in looks(desk.service.seeded)} | set(ACTIONS)
    assert rules - known - NO_PAGES == set()


@pytest.mark.parametrize("name", _NAMES)
def test_a_page_keeps_nobody_out(desk: Desk, name: str) -> None:
    """axe-core finds nothing serious, and nothing has to be scrolled to the side; ``desk`` looks for the rest."""
    (look,) = [look for look in looks(desk.service.seeded) if look.name == name]
    visitor = desk.visit(look.role)
    show(visitor, look)
    found = violations(visitor.page)
    visitor.page.emulate_media(color_scheme="dark")
    found += violations(visitor.page, only="color-contrast")
    visitor.page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a TypedDict of just this form
    found += violations(visitor.page)
    assert found == []
    assert overflow(visitor.page) <= 0
    visitor.page.set_viewport_size(WIDE)  # type: ignore[arg-type]  # as above
    assert overflow(visitor.page) <= 0


def show(visitor: Visitor, look: Look) -> None:
    if look.status != 200:
        visitor.watch.expected.append(f"status of {look.status}")
    visitor.open(look.path, look.status)


def violations(page: Page, only: str | None = None) -> list[str]:
    """Of the impacts that keep people out; each with its place."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": [only]} if only is not None else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:200]}"
        for one in found
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


def overflow(page: Page) -> int:
    """How many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
