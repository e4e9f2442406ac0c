"""What holds for all pages: forms of others, names that are markup, the live parts, and a stream that is lost."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.desk.browsing import visiting
from tests.desk.conftest import Desk
from tests.desk.pages import looks
from tests.desk.serving import seeded_folder, serving
from tests.seeding.devices import Home
from tests.support.fleet_bodies import heartbeat, status, statuses

SIGN = "This page is not live"


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_a_form_without_the_session_s_token_is_refused(desk: Desk, token: str | None) -> None:
    visitor, home, before = desk.visit("operator"), desk.home(), desk.newest_audit()
    form = {"hold": "forged"} | ({"csrf_token": token} if token is not None else {})
    assert visitor.post(f"/devices/{home.id}/hold", form) == 403
    assert visitor.post("/sign-out", {name: value for name, value in form.items() if name != "hold"}) == 403
    assert desk.newest_audit() == before
    visitor.open("/")  # still signed in


def test_another_session_s_token_is_refused(desk: Desk) -> None:
    one, other, home = desk.visit("operator"), desk.visit("operator"), desk.home()
    form = {"hold": "forged", "csrf_token": other.csrf_token()}
    assert one.post(f"/devices/{home.id}/hold", form) == 403
    assert desk.rows("SELECT hold FROM devices WHERE id = ?", home.id) == [{"hold": None}]


def test_a_form_on_another_origin_does_nothing(desk: Desk) -> None:
    """Even with the right token, the browser says where it comes from."""
    visitor, home = desk.visit("operator"), desk.home()
    answer = visitor.context.request.post(
        f"{desk.service.url}/devices/{home.id}/hold",
        form={"csrf_token": visitor.csrf_token(), "hold": "forged"},
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        max_redirects=0,
    )
    assert answer.status == 403
    assert desk.rows("SELECT hold FROM devices WHERE id = ?", home.id) == [{"hold": None}]


def test_names_that_are_markup_are_shown_as_text(desk: Desk) -> None:
    """On every page; a script that ran would open an alert, and a picture from nowhere be a request that fails."""
    visitor = desk.visit("admin")
    alerts: list[str] = []

    def shown(one: Dialog) -> None:
        alerts.append(one.message)
        one.dismiss()

    visitor.page.on("dialog", shown)
    for look in looks(desk.service.seeded):
        if look.role != "admin" or look.status != 200:
            continue
        visitor.open(look.path)
        own = visitor.page.evaluate(
            "[...document.scripts].every(one => one.type === 'application/json' || one.src.startsWith(origin))"
        )
        assert own, look.path
        assert visitor.page.locator("main img:not([src^='/static/'])").count() == 0, look.path
    assert alerts == []
    visitor.open(f"/devices/{desk.service.seeded.oddities['script']}")
    expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("<script>alert(1)</script>")


def test_the_page_s_own_policy_would_not_let_a_script_in(desk: Desk) -> None:
    visitor = desk.visit("viewer")
    visitor.watch.expected.append("Content-Security-Policy|Content Security Policy|Refused")
    answer = visitor.open("/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    ran = visitor.page.evaluate(
        """() => { const one = document.createElement("script"); one.textContent = "window.ran = true";
        document.body.append(one); return window.ran === true; }"""
    )
    assert ran is False
    assert visitor.watch.problems  # and the watch of every other test would have seen it


def say(desk: Desk, home: Home, path: str, body: object) -> None:
    answer = desk.service.server.request("POST", f"/api/v1/devices/{home.id}{path}", body=body, token=home.token)
    assert answer.status == 200, answer.content


def test_what_a_device_says_appears_by_itself(desk: Desk) -> None:
    """A status over the API, on the device's open page and on the update's."""
    home = desk.service.seeded.with_status("2.3.1", "deferred")[3]
    update = desk.service.seeded.updates["2.3.1"]
    device, rollout = desk.visit("viewer").page, desk.visit("viewer").page
    device.goto(f"{desk.service.url}/devices/{home.id}")
    rollout.goto(f"{desk.service.url}/updates/{update}")
    before = rollout.locator("#outcomes").inner_text()
    for page in (device, rollout):
        mark(page)
    sequence = desk.rows("SELECT sequence FROM device_updates WHERE device_id = ? AND update_id = ?", home.id, update)[
        0
    ]["sequence"]
    said = status(sequence + 1, "failed", "2.3.1", detail="the disk is full", log_tail="a last line of the log")
    say(desk, home, f"/updates/{update}/status", statuses(said))
    expect(device.locator("main")).to_contain_text("a last line of the log")
    expect(rollout.locator("#outcomes")).not_to_have_text(before)
    for page in (device, rollout):
        assert page.evaluate("window.marked") is True  # it was not opened anew


def test_a_device_that_is_back_is_counted_at_once(desk: Desk) -> None:
    late = next(home for home in desk.service.seeded.homes if home.row["state"] == "active" and not home.is_online)
    page = desk.visit("viewer").page
    page.goto(f"{desk.service.url}/")
    before = page.locator("#totals").inner_text()
    mark(page)
    say(desk, late, "/heartbeat", heartbeat(late.row["installed"], late.row["active"]))
    expect(page.locator("#totals")).not_to_have_text(before)
    assert page.evaluate("window.marked") is True


def mark(page: Page) -> None:
    """Watch the stream from now on; a page that is opened anew has no mark."""
    page.wait_for_load_state("load")
    page.evaluate("window.marked = true")


def refused(stack: ExitStack, asked: Request) -> int:
    """Watch as often as one may; returns how the next one is refused."""
    for _ in range(64):
        try:
            stack.enter_context(urlopen(asked, timeout=20))
        except HTTPError as error:
            error.close()
            return error.code
    return 200


def test_where_as_many_watch_as_may_a_page_is_fetched_now_and_then_instead(desk: Desk) -> None:
    late = [home for home in desk.service.seeded.homes if home.row["state"] == "active" and not home.is_online][1]
    visitor = desk.visit("viewer")
    asked = Request(f"{desk.service.url}/api/v1/events", headers={"X-API-Key": desk.service.seeded.keys["viewer"]})
    with ExitStack() as stack:
        assert refused(stack, asked) == 503
        page = visitor.page
        page.goto(f"{desk.service.url}/")
        before = page.locator("#totals").inner_text()
        mark(page)
        say(desk, late, "/heartbeat", heartbeat(late.row["installed"], late.row["active"]))
        expect(page.locator("#totals")).not_to_have_text(before)
        expect(page.get_by_text(SIGN)).to_be_hidden()
        assert page.evaluate("window.marked") is True


def test_a_server_that_is_gone_is_told_and_one_that_is_back_too(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    seeded = seeded_folder(folder, 300)
    with ExitStack() as page:
        with serving(folder, seeded) as first:
            port = first.server.port
            visitor = page.enter_context(visiting(browser, first, role="viewer"))
            visitor.watch.expected.append("Failed to load resource|ERR_|EventSource")
            visitor.open("/")
            sign = visitor.page.get_by_role("status").filter(has_text=SIGN)
            expect(sign).to_be_hidden()
            mark(visitor.page)
        expect(sign).to_be_visible()
        with serving(folder, seeded, port):
            expect(sign).to_be_hidden()
            assert visitor.page.evaluate("window.marked") is True
    assert visitor.watch.verdict() == []
