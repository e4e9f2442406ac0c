"""What operators do to a device: with a mouse, by keyboard alone, and without scripts; and who may not."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.desk.conftest import Desk
from tests.seeding.people import NAMES

OPERATOR = f"key:{NAMES['operator']}"
HOLD = "Why"


def device(desk: Desk, one: str, column: str) -> object:
    return desk.rows(f"SELECT {column} AS value FROM devices WHERE id = ?", one)[0]["value"]


def told(page: Page, words: str) -> None:
    expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()


def test_a_device_is_held_and_let_go(desk: Desk) -> None:
    visitor, home = desk.visit("operator"), desk.home()
    page = visitor.page
    visitor.open(f"/devices/{home.id}")
    page.get_by_role("link", name="Hold", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(HOLD).fill("guests <until> Sunday")
    dialog.get_by_role("button", name="Hold").click()
    told(page, "held")
    assert device(desk, home.id, "hold") == "guests <until> Sunday"
    assert desk.audited(home.id)[0] == (OPERATOR, "device.change")
    expect(page.locator("main")).to_contain_text("guests <until> Sunday")
    page.get_by_role("link", name="Release").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    told(page, "no longer held")
    assert device(desk, home.id, "hold") is None


def test_a_question_can_be_left(desk: Desk) -> None:
    visitor, home = desk.visit("operator"), desk.home()
    visitor.open(f"/devices/{home.id}")
    before = desk.newest_audit()
    for leave in ("Escape", "Cancel"):
        link = visitor.page.get_by_role("link", name="Hold", exact=True)
        link.click()
        dialog = visitor.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        if leave == "Escape":
            visitor.page.keyboard.press("Escape")
        else:
            dialog.get_by_role("link", name="Cancel").click()
        expect(dialog).to_be_hidden()
        expect(link).to_be_focused()
    assert desk.newest_audit() == before


def test_a_device_is_renamed_asked_for_a_new_token_and_retired(desk: Desk) -> None:
    visitor, home = desk.visit("operator"), desk.home()
    page = visitor.page
    visitor.open(f"/devices/{home.id}")
    page.get_by_role("link", name="Change", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("<i>Attic")
    dialog.get_by_label("Time zone").fill("Mars/Olympus")
    visitor.watch.expected.append("status of 422")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.get_by_role("alert")).to_contain_text("imezone")
    dialog.get_by_label("Time zone").fill("Europe/Paris")
    dialog.get_by_role("button", name="Change").click()
    told(page, "<i>Attic is changed")
    assert device(desk, home.id, "timezone_override") == "Europe/Paris"
    for link, verb, words in (("New token", "Ask for it", "asked for a new token"), ("Retire", "Retire", "retired")):
        page.get_by_role("link", name=link).click()
        page.get_by_role("dialog").get_by_role("button", name=verb).click()
        told(page, words)
    assert device(desk, home.id, "state") == "decommissioned"
    assert [action for _, action in desk.audited(home.id)[:3]] == [
        "device.decommission",
        "device.ask_rotation",
        "device.change",
    ]


@pytest.mark.parametrize("role", ["viewer", "builder"])
def test_who_may_not_is_shown_no_way_and_gets_none(desk: Desk, role: str) -> None:
    visitor, home = desk.visit(role), desk.home()
    visitor.watch.expected.append("status of 403")
    if role == "viewer":
        visitor.open(f"/devices/{home.id}")
        assert visitor.page.locator("main a[data-dialog]").count() == 0
    else:
        visitor.open(f"/devices/{home.id}", 403)
    token, before = visitor.csrf_token(), desk.newest_audit()
    for verb in ("hold", "release", "channel", "expedite", "retire"):
        visitor.open(f"/devices/{home.id}/{verb}", 403)
        assert visitor.post(f"/devices/{home.id}/{verb}", {"csrf_token": token, "hold": "forged"}) == 403
    assert desk.newest_audit() == before
    assert device(desk, home.id, "state") == "active"


def test_without_scripts_one_signs_in_finds_a_device_and_holds_it(desk: Desk) -> None:
    visitor = desk.visit(scripts=False)
    home = desk.home()
    page = visitor.page
    visitor.open(f"/devices?q={home.id[:20]}")
    page.get_by_label("API key").fill(desk.service.seeded.keys["operator"])
    page.get_by_role("button", name="Sign in").click()
    page.locator(f"a[href='/devices/{home.id}']").click()
    page.get_by_role("link", name="Hold", exact=True).click()
    assert visitor.path() == f"/devices/{home.id}/hold"
    page.get_by_label(HOLD).fill("by hand")
    page.get_by_role("button", name="Hold").click()
    told(page, "held")
    assert visitor.path() == f"/devices/{home.id}"
    assert device(desk, home.id, "hold") == "by hand"
    assert desk.audited(home.id)[0] == (OPERATOR, "device.change")


def test_by_keyboard_alone_one_signs_in_finds_a_device_and_holds_it(desk: Desk) -> None:
    visitor, home = desk.visit(), desk.home()
    page, keyboard = visitor.page, visitor.page.keyboard
    visitor.open("/devices")
    tab_to(page, "API key")
    keyboard.type(desk.service.seeded.keys["operator"])
    keyboard.press("Enter")
    page.wait_for_url("**/devices")
    tab_to(page, "Name, hostname or beginning of the id")
    keyboard.type(home.id[:20])
    keyboard.press("Enter")
    page.wait_for_url("**q=*")
    tab_to(page, home.row["name"] or home.row["hostname"])
    keyboard.press("Enter")
    page.wait_for_url(f"**/{home.id}")
    tab_to(page, "Hold")
    keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    tab_to(page, HOLD)
    keyboard.type("by keyboard")
    tab_to(page, "Hold")
    keyboard.press("Enter")
    told(page, "held")
    assert device(desk, home.id, "hold") == "by keyboard"


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name, by label or by text, has the focus; each stop shows where it is."""
    for _ in range(80):
        stop = page.evaluate(
            """() => { const one = document.activeElement, style = getComputedStyle(one);
            const words = one.labels?.length ? one.labels[0].textContent : one.textContent;
            return {words: words.trim(), outline: style.outlineStyle, body: one === document.body}; }"""
        )
        if not stop["body"] and stop["words"] == name:
            return
        assert stop["body"] or stop["outline"] != "none" or stop["words"] == "", stop
        page.keyboard.press("Tab")
    raise AssertionError(f"no stop of the Tab key is called {name!r}")
