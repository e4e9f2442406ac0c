"""One server with 5,000 devices and one browser for each test worker, and for each test its own visitor."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.desk.browsing import PATIENCE_MILLISECONDS, Visitor, chromium, visiting
from tests.desk.serving import Service, seeded_folder, serving
from tests.seeding.devices import Home

DEVICES = 5_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "desk" and item.path.parent.parent.name == "tests":
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("desk")
    with serving(folder, seeded_folder(folder, DEVICES)) as one:
        yield one


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@dataclass
class Desk:
    """What a test of the desk needs."""

    service: Service
    visit: Callable[..., Visitor]
    homes: Iterator[Home]

    def rows(self, query: str, *values: object) -> list[Any]:
        """What the server has recorded."""
        with closing(sqlite3.connect(f"file:{self.service.server.database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def audited(self, subject: str) -> list[tuple[str, str]]:
        """Who did what to it, the newest first."""
        found = self.rows("SELECT who, action FROM audit_log WHERE subject = ? ORDER BY id DESC", subject)
        return [(row["who"], row["action"]) for row in found]

    def newest_audit(self) -> int:
        """Grows with every change that is audited."""
        return int(self.rows("SELECT max(id) AS newest FROM audit_log")[0]["newest"])

    def home(self) -> Home:
        """One with an ordinary device that is online, that no other test has."""
        return next(self.homes)


@pytest.fixture(scope="session")
def _homes(service: Service) -> Iterator[Home]:
    return iter(service.seeded.quiet())


@pytest.fixture
def desk(service: Service, browser: Browser, _homes: Iterator[Home]) -> Iterator[Desk]:
    """Whatever the test is about: no page of its visitors may log an error, break the policy or ask another host."""
    visitors: list[Visitor] = []
    with ExitStack() as stack:

        def visit(role: str | None = None, **how: Any) -> Visitor:
            visitors.append(stack.enter_context(visiting(browser, service, role=role, **how)))
            return visitors[-1]

        yield Desk(service, visit, _homes)
    assert [problem for visitor in visitors for problem in visitor.watch.verdict()] == []
