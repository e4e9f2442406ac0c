"""The list of devices as people see it, with all that can be asked of it in the address."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from repo_server import answers, times
from repo_server.desk.device_words import shown
from repo_server.desk.words import Kind
from repo_server.lifecycle import Stuck
from repo_server.presence import Presence
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE
from tests.unit.repo_server.desk.conftest import Browser, Desk

THIRD = "0195e0c8-0000-7000-8000-0000000000d3"


def listed(browser: Browser, query: str = "") -> list[str]:
    """The names of the devices on the page, in its order."""
    page = browser.get(f"/devices?{query}")
    assert page.status_code == 200, page.text
    return [html.unescape(name) for name in re.findall(r'<a href="/devices/0195[^"]+">(.*?)</a>', page.text)]


def link(text: str, words: str) -> str:
    """The address of the link with these words."""
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>(?:<svg.*?</svg>)?\s*{words}', text)
    assert found is not None, words
    return html.unescape(found[1])


@pytest.fixture
def homes(desk: Desk) -> Desk:
    service = desk.service
    service.register(hostname="kitchen")
    service.register(hostname="attic", id=OTHER_DEVICE, token="other", preset=Preset(group="canary", channel="beta"))
    service.register(hostname="<script>alert(1)</script>", id=THIRD, token="third")
    service.beat(gate={"decision": "defer", "reason": "OUTSIDE_WINDOW", "retry_at": "2026-03-29T04:42:00Z"})
    service.beat("1.1.0", device=OTHER_DEVICE, token="other", gate={"decision": "defer", "reason": "DISK_FULL"})
    return desk


def test_no_devices_yet_and_how_to_get_one(desk: Desk) -> None:
    page = desk.as_("admin").get("/devices")
    assert "No devices yet" in page.text
    assert 'href="/setup/devices"' in page.text
    assert 'href="/setup/devices"' not in desk.as_("viewer").get("/devices").text
    assert "No devices yet" not in desk.as_("admin").get("/devices?group=none").text


def test_each_device_says_how_it_is(homes: Desk) -> None:
    page = homes.as_("viewer").get("/devices").text
    assert "waiting for 06:42 Europe/Berlin, in 3 h 12 min" in page
    assert "it has not enough free space" in page
    assert page.count("online</span>") == 2
    assert "has not told anything of its gate yet" in page
    assert page.count('data-live="device"') == 1


def test_what_a_device_calls_itself_is_text(homes: Desk) -> None:
    page = homes.as_("viewer").get("/devices").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["kitchen", "attic", "<script>alert(1)</script>"]),
        ("sort=name", ["<script>alert(1)</script>", "attic", "kitchen"]),
        ("sort=-registered", ["<script>alert(1)</script>", "attic", "kitchen"]),
        ("sort=-seen", ["attic", "kitchen", "<script>alert(1)</script>"]),
        ("q=KITCH", ["kitchen"]),
        ("q=&presence=&group=canary&channel=", ["attic"]),
        ("channel=beta", ["attic"]),
        ("version=1.0.0", ["kitchen"]),
        ("reason=DISK_FULL", ["attic"]),
        ("attention=true", ["attic"]),
        ("presence=online&q=it", ["kitchen"]),
        ("presence=lost", []),
        ("state=pending", []),
    ],
)
def test_the_address_says_what_is_listed(homes: Desk, query: str, expected: list[str]) -> None:
    assert listed(homes.as_("viewer"), query) == expected


def test_nothing_matches_and_the_way_back(homes: Desk) -> None:
    page = homes.as_("viewer").get("/devices?q=cellar")
    assert "No device matches this." in page.text
    assert 'value="cellar"' in page.text
    assert link(page.text, "Show all devices") == "/devices"


def test_page_after_page_with_the_filters_kept(homes: Desk) -> None:
    browser, found, address = homes.as_("viewer"), list[str](), "limit=1&sort=name&presence="
    for _ in range(3):
        found += listed(browser, address)
        page = browser.get(f"/devices?{address}").text
        address = link(page, "Next").partition("?")[2] if "Next" in page else ""
    assert found == ["<script>alert(1)</script>", "attic", "kitchen"]
    assert address == ""
    assert link(page, "To the beginning") == "/devices?limit=1&sort=name"


def test_a_column_sorts_and_sorts_the_other_way_round(homes: Desk) -> None:
    browser = homes.as_("viewer")
    page = browser.get("/devices?presence=online").text
    by_name = link(page, "Device")
    assert by_name == "/devices?presence=online&sort=name"
    page = browser.get(by_name).text
    assert '<th scope="col" aria-sort="ascending">' in page
    assert link(page, "Device") == "/devices?presence=online&sort=-name"


def test_a_shortcut_shows_where_one_is(homes: Desk) -> None:
    page = homes.as_("viewer").get("/devices?attention=true&q=attic").text
    assert '<a href="/devices?attention=true" aria-current="page">' in page
    assert '<a href="/devices" aria-current="page">All' not in page
    assert '<input type="hidden" name="attention" value="true">' in page
    assert "<details>" in page
    assert "<details open>" in homes.as_("viewer").get("/devices?reason=DISK_FULL").text


def test_a_filter_that_no_device_has_any_more_is_still_shown(homes: Desk) -> None:
    page = homes.as_("viewer").get("/devices?group=gone").text
    assert '<option value="gone" selected>gone</option>' in page
    assert '<option value="canary">canary</option>' in page


@pytest.mark.parametrize("query", ["presence=gone", "limit=0", "limit=201", "sort=mood", "cursor=!", "what=this"])
def test_an_address_that_makes_no_sense_is_told_in_a_sentence(homes: Desk, query: str) -> None:
    page = homes.as_("viewer").get(f"/devices?{query}")
    assert (page.status_code, page.mimetype) == (422, "text/html")
    assert query.partition("=")[0].capitalize() in page.text


def test_what_waits_for_somebody_is_seen_at_first_sight(homes: Desk) -> None:
    now = homes.service.now
    browser = homes.as_("viewer")
    item = homes.service.request("GET", f"/api/v1/devices/{DEVICE}", key=homes.key("viewer")).get_json()
    device = answers.Device.model_validate(
        item
        | {
            "cloned_suspected_at": times.render(now),
            "hold": "guests",
            "reboot_required": True,
            "rotation": "requested",
            "presence": "lost",
            "reenrollment": {"requested_at": times.render(now), "fingerprint": "0" * 16},
            "update": {"id": DEVICE, "status": "rolled_back"},
        }
    )
    row = shown(device, now + timedelta(hours=4), Stuck.NO_PROGRESS)
    assert [note.text for note in row.notes] == [
        "two machines seem to be it", "went back to the release before", "does not get on", "a new token waits",
        "held", "asks for a restart", "changes its token",
    ]  # fmt: skip
    assert row.presence.kind is Kind.BAD
    assert device.presence is Presence.LOST
    assert "could have begun at 06:42 Europe/Berlin, 48 min ago" in row.gate.text
    assert listed(browser, "cloned=true") == []


def test_a_device_that_is_stuck_says_so(homes: Desk) -> None:
    update = homes.service.announce()
    homes.service.beat()
    homes.service.report(
        update, {"sequence": 1, "status": "installing", "at": "2026-03-29T01:30:00Z", "version": "1.1.0"}
    )
    homes.service.tick(days=1)
    assert listed(homes.as_("viewer"), "attention=true") == ["kitchen", "attic"]
    assert "silent since it began" in homes.as_("viewer").get("/devices?q=kitchen").text
