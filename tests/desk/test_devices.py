"""Finding devices: the list, with its search and filters in the address, on a phone, by keyboard, without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.desk.browsing import PHONE
from tests.desk.conftest import Desk


def names(page: Page) -> list[str]:
    return page.locator("#devices tbody th a").all_inner_texts()


def search(page: Page, text: str) -> None:
    page.get_by_label("Name, hostname or beginning of the id").fill(text)
    page.get_by_role("button", name="Show").click()


def test_a_device_is_found_by_its_name_and_the_address_can_be_sent_on(desk: Desk) -> None:
    one, other = desk.visit("viewer"), desk.visit("viewer")
    one.open("/devices")
    search(one.page, "Grandmother")
    expect(one.page.locator("#devices tbody tr")).to_have_count(1)
    assert "q=Grandmother" in one.path()
    other.open(one.path())
    assert names(other.page) == ["Grandmother's kitchen"]
    other.page.get_by_role("link", name="Grandmother's kitchen").click()
    expect(other.page.get_by_role("heading", name="Grandmother's kitchen", level=1)).to_be_visible()


def test_filters_hold_only_what_they_say(desk: Desk) -> None:
    visitor = desk.visit("viewer")
    visitor.open("/devices?presence=lost&group=care-homes")
    listed = set(visitor.page.locator("#devices tbody th a").evaluate_all("all => all.map(a => a.pathname)"))
    lost = desk.rows(
        "SELECT id FROM devices JOIN presence ON device_id = id WHERE state = 'active' AND group_name = 'care-homes'"
        " AND lost_at <= (SELECT max(received_at) FROM heartbeats)"
    )
    assert listed == {f"/devices/{row['id']}" for row in lost}
    assert listed


def test_pages_follow_each_other_without_a_device_twice(desk: Desk) -> None:
    visitor = desk.visit("viewer")
    visitor.open("/devices?sort=name")
    seen: list[str] = []
    for _ in range(3):
        seen += visitor.page.locator("#devices tbody th a").evaluate_all("all => all.map(a => a.pathname)")
        visitor.page.get_by_role("link", name="Next").click()
        visitor.page.wait_for_load_state()
    assert len(seen) == len(set(seen)) > 100
    visitor.page.get_by_role("link", name="To the beginning").click()
    expect(visitor.page.get_by_role("link", name="To the beginning")).to_have_count(0)


@pytest.mark.parametrize("query", ["%", "_", "' OR 1=1 --", "<script>", "\u202e", "é" * 300, "١٢٣"])
def test_whatever_is_searched_for_is_only_text(desk: Desk, query: str) -> None:
    visitor = desk.visit("viewer")
    visitor.watch.expected.append("status of 422")
    visitor.page.goto(desk.service.url + "/devices")
    search(visitor.page, query)
    visitor.page.wait_for_load_state()
    expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    if query == "<script>":
        assert names(visitor.page) == ["<script>alert(1)</script>"]


def test_a_list_on_a_phone_says_what_its_cells_are(desk: Desk) -> None:
    visitor = desk.visit("viewer", size=PHONE)
    visitor.open("/devices?q=Grandmother")
    row = visitor.page.locator("#devices tbody tr")
    for label in ("Last heard of", "Version", "Group", "Channel"):
        cell = row.locator(f"[data-label='{label}']")
        assert label in cell.evaluate("cell => getComputedStyle(cell, '::before').content")
