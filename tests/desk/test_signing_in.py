"""Signing in and out, and what becomes of a session that has ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from repo_server import times
from repo_server.ids import sha256_hex
from tests.desk.conftest import Desk
from tests.seeding import NOW
from tests.seeding.people import NAMES


def test_a_key_signs_in_and_the_menu_signs_out(desk: Desk) -> None:
    visitor = desk.visit()
    page = visitor.page
    visitor.open("/devices")
    assert visitor.path() == "/sign-in?next=%2Fdevices"
    page.get_by_label("API key").fill(desk.service.seeded.keys["operator"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/devices")
    (cookie,) = visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    secret_sha256 = sha256_hex(cookie["value"])
    session = desk.rows("SELECT id FROM sessions WHERE secret_sha256 = ?", secret_sha256)[0]["id"]
    assert desk.audited(session) == [(f"key:{NAMES['operator']}", "session.create")]

    page.locator("summary", has_text=NAMES["operator"]).click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    expect(page.get_by_role("status").filter(has_text="You have signed out")).to_be_visible()
    assert desk.audited(session)[0] == (f"key:{NAMES['operator']}", "session.end")
    visitor.context.add_cookies([cookie])  # type: ignore[list-item]  # what it gave; who has copied it before
    visitor.open("/")
    assert visitor.path().startswith("/sign-in")


def test_a_wrong_key_is_told_and_can_be_put_right(desk: Desk) -> None:
    visitor = desk.visit()
    visitor.watch.expected.append("status of 401")
    page = visitor.page
    visitor.open("/sign-in")
    page.get_by_label("API key").fill("pik_not-a-key")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("API key").fill(desk.service.seeded.keys["viewer"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()


@pytest.mark.parametrize("path", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_signing_in_leads_to_no_other_site(desk: Desk, path: str) -> None:
    visitor = desk.visit()
    visitor.open(f"/sign-in?next={path}")
    visitor.page.get_by_label("API key").fill(desk.service.seeded.keys["viewer"])
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()
    assert visitor.path() == "/"


def test_a_session_that_has_ended_asks_to_sign_in_and_goes_on_where_one_was(desk: Desk) -> None:
    visitor = desk.visit("operator")
    visitor.open("/updates")
    end_sessions(desk)
    visitor.page.reload()
    assert visitor.path() == "/sign-in?next=%2Fupdates&ended=1"
    expect(visitor.page.get_by_role("status").filter(has_text="Your session has ended")).to_be_visible()
    visitor.page.get_by_label("API key").fill(desk.service.seeded.keys["operator"])
    visitor.page.get_by_role("button", name="Sign in").click()
    visitor.page.wait_for_url("**/updates")


def test_an_action_that_is_sent_after_the_session_has_ended_does_nothing(desk: Desk) -> None:
    visitor, home = desk.visit("operator"), desk.home()
    visitor.open(f"/devices/{home.id}/hold")
    end_sessions(desk)
    before = desk.newest_audit()
    visitor.page.get_by_role("button", name="Hold").click()
    visitor.page.wait_for_url("**/sign-in?next=*")
    assert desk.newest_audit() == before
    assert desk.rows("SELECT hold FROM devices WHERE id = ?", home.id) == [{"hold": None}]


def end_sessions(desk: Desk) -> None:
    """As if nobody had used any of them since last year."""
    with closing(sqlite3.connect(desk.service.server.database, timeout=30)) as connection, connection:
        connection.execute("UPDATE sessions SET last_used_at = ?", (times.render(NOW.replace(year=NOW.year - 1)),))
