"""The pages about updates, as a browser without scripts sees them."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from tests.support.fleet_bodies import announcement, status
from tests.unit.repo_server.desk.conftest import Desk
from tests.unit.repo_server.spreading import CANARY, beat, end, fleet, offered, to_group

HOSTILE = "<script>alert(1)</script>"
EVERYBODY: dict[str, Any] = {"waves": [{"percent": 100}]}


def text(html: str) -> str:
    """What is read of a page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html.partition("<main")[2])).split())


def part(html: str, identifier: str) -> str:
    """What is read of the element with this id, up to the next one that is kept up to date."""
    return text("<main" + html.partition(f'id="{identifier}"')[2].partition("data-live")[2].partition("data-live")[0])


def follow(html: str, words: str) -> str:
    """The address of the link with these words."""
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>(?:(?!</a>).)*{re.escape(words)}', html)
    assert found is not None, words
    return unescape(found[1])


def announce(desk: Desk, version: str, **given: Any) -> str:
    """A second later: ids of updates follow the clock, and so does the list."""
    desk.service.now += timedelta(seconds=1)
    return desk.service.announce(version, **given)


def test_without_updates_the_list_says_how_one_is_made(desk: Desk) -> None:
    page = desk.as_("viewer").get("/updates")
    assert "Nothing was released yet." in text(page.text)
    assert "make release" in page.text


def test_the_list_tells_how_far_each_update_is_the_newest_first(desk: Desk) -> None:
    ids = fleet(desk.service, 4)
    old = announce(desk, "1.0.5")
    new = announce(desk, "1.1.0", rollout=EVERYBODY, urgency="urgent")
    offered(desk.service, ids)
    end(desk.service, new, ids[0], "installing", "succeeded")
    end(desk.service, new, ids[1], "installing", "failed")
    page = desk.as_("viewer").get("/updates").text
    assert page.index(f"/updates/{new}") < page.index(f"/updates/{old}")
    first, second = text(page).split("1.0.5 Speaks")
    assert "1.1.0 Speaks more clearly active urgent stable" in first
    assert "1 succeeded 2 may install, wait for their moment 1 failed" in first
    assert 'aria-label="Devices of 1.1.0: 1 succeeded, 2 may install, wait for their moment, 1 failed"' in page
    assert "superseded by 1.1.0" in second


def test_the_list_is_filtered_and_paged(desk: Desk) -> None:
    for number in range(5):
        announce(desk, f"1.{number}.0")
    announce(desk, "2.0.0", channel="beta")
    browser = desk.as_("viewer")
    page = browser.get("/updates?limit=2&channel=stable").text
    assert re.findall(r"sample-assistant ([0-9.]+)</a>", page) == ["1.4.0", "1.3.0"]
    page = browser.get(follow(page, "Next")).text
    assert re.findall(r"sample-assistant ([0-9.]+)</a>", page) == ["1.2.0", "1.1.0"]
    assert follow(page, "To the beginning") == "/updates?limit=2&channel=stable"
    assert "2.0.0" in browser.get(follow(page, "beta")).text
    assert "No update is like this." in browser.get("/updates?state=halted").text
    refused = browser.get("/updates?state=gone")
    assert (refused.status_code, refused.mimetype) == (422, "text/html")


def test_an_update_s_page_tells_its_waves_its_outcomes_and_what_is_next(desk: Desk) -> None:
    ids = fleet(desk.service, 8)
    to_group(desk.service, "canary", *ids[:3])
    desk.service.announce("1.0.5")
    update = desk.service.announce("1.1.0", rollout=CANARY)
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "installing", "succeeded")
    end(desk.service, update, ids[1], "installing", "rolled_back")
    page = desk.as_("operator").get(f"/updates/{update}").text
    next_ = part(page, "next")
    assert re.search(
        # which of the five are in it follows from the update's id; of none the page says "no"
        r"Wave 2 \(50 %, (?:no|[1-5]) devices?\) opens 29 Mar 2026, 02:30 UTC , unless 1 more device fails",
        next_,
    )
    outcomes = part(page, "outcomes")
    assert "8 devices on the channel" in outcomes
    assert "50 % of the devices that have an outcome, 2 at least" in outcomes
    assert "1 of 2 with an outcome (50.0 %)" in outcomes
    assert "One more failure halts it." in outcomes
    assert follow(page, "See what went wrong on 1 device") == f"/updates/{update}/devices?part=failed"
    waves = part(page, "waves")
    assert "1 the group canary 3 open since 29 Mar 2026, 01:30 UTC 1 h" in waves
    assert "1 succeeded, 1 may install, wait for their moment, 1 went back to the release before" in waves
    assert "3 all others" in waves


def test_an_update_s_page_tells_what_it_brings_and_what_it_costs_to_download(desk: Desk) -> None:
    fleet(desk.service, 1)
    before = desk.service.announce("1.1.0")
    update = desk.service.announce("1.2.0")
    page = desk.as_("viewer").get(f"/updates/{update}").text
    words = text(page)
    assert f'What changes from <a href="/updates/{before}">1.1.0</a>' in page
    assert "trixie arm64 4.1 kB 4.1 kB 0 added, 2 changed, 0 removed, 0 as before" in words
    assert "changed sample-assistant-app-1.1.0 1.1.0 → sample-assistant-app-1.2.0 1.2.0" in words
    assert "Speaks more clearly" in words
    assert announcement("1.2.0")["packages"][0]["sha256"] in page
    assert "No lower release is on the channel stable" in text(desk.as_("viewer").get(f"/updates/{before}").text)


def test_a_withdrawn_release_is_not_the_one_before(desk: Desk) -> None:
    first, second, third = (desk.service.announce(version) for version in ("1.1.0", "1.2.0", "1.3.0"))
    desk.service.steer(second, "withdraw")
    assert f'What changes from <a href="/updates/{first}">' in desk.as_("viewer").get(f"/updates/{third}").text


def test_a_halted_update_says_why(desk: Desk) -> None:
    ids = fleet(desk.service, 3)
    update = desk.service.announce(rollout=EVERYBODY | {"failure_limit": {"count": 1}})
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "installing", "failed")
    page = desk.as_("viewer").get(f"/updates/{update}").text
    why = "1 of 1 devices that have an outcome failed (100.0%)"
    assert f"It is halted since 29 Mar 2026, 01:30 UTC : {why}. Nothing happens" in part(page, "next")
    assert f"Why it was halted {why}" in part(page, "outcomes")


@pytest.mark.parametrize(
    ("do", "offers", "hides"),
    [
        (None, ["pause", "halt", "expedite", "withdraw", "rollout"], ["resume"]),
        ("pause", ["resume", "halt", "expedite", "withdraw", "rollout"], ["pause"]),
        ("halt", ["resume", "expedite", "withdraw", "rollout"], ["pause", "halt"]),
        ("expedite", ["pause", "halt", "withdraw", "rollout"], ["resume", "expedite"]),
        ("withdraw", [], ["pause", "resume", "halt", "expedite", "withdraw", "rollout"]),
    ],
)
def test_a_page_offers_what_can_be_done_now(desk: Desk, do: str | None, offers: list[str], hides: list[str]) -> None:
    update = desk.service.announce(rollout=CANARY)
    if do is not None:
        desk.service.steer(update, do)
    page = desk.as_("operator").get(f"/updates/{update}").text
    links = re.findall(rf'href="/updates/{update}/(\w+)" data-dialog', page)
    assert sorted(links) == sorted(offers)
    assert not set(links) & set(hides)
    assert not re.findall(r"data-dialog", desk.as_("viewer").get(f"/updates/{update}").text)


def test_an_update_that_has_not_begun_is_begun(desk: Desk) -> None:
    update = desk.service.announce(rollout=CANARY | {"paused": True})
    page = desk.as_("operator").get(f"/updates/{update}").text
    assert follow(page, "Begin") == f"/updates/{update}/resume"


def test_a_builder_sees_what_was_released_and_nothing_of_devices(desk: Desk) -> None:
    ids = fleet(desk.service, 2)
    update = desk.service.announce(rollout=EVERYBODY)
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "installing", "failed")
    browser = desk.as_("builder")
    listed, page = browser.get("/updates").text, browser.get(f"/updates/{update}").text
    assert "Speaks more clearly" in listed
    for html in (listed, page):
        assert "failed" not in text(html)
        assert '<svg class="bar"' not in html
    assert re.findall(rf'href="/updates/{update}/(\w+)"', page) == ["withdraw"]
    for kept in ("devices", "plan"):
        assert browser.get(f"/updates/{update}/{kept}").status_code == 403


def test_the_devices_of_an_update_are_told_by_how_far_they_are(desk: Desk) -> None:
    ids = fleet(desk.service, 6)
    update = desk.service.announce(rollout=EVERYBODY)
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "installing", "succeeded")
    told = {"detail": "no answer in 60 s", "log_tail": f"Traceback\n{HOSTILE}"}
    desk.service.report(update, status(1, "rolled_back", **told), device=ids[1], token=ids[1])
    end(desk.service, update, ids[2], "failed")
    end(desk.service, update, ids[3], "installing")
    desk.service.report(update, status(1, "deferred", reason="RECENT_ACTIVITY"), device=ids[4], token=ids[4])
    browser, here = desk.as_("viewer"), f"/updates/{update}/devices"

    def shown(query: str) -> list[str]:
        return re.findall(r'<th scope="row"><span><a href="/devices/([^"]+)">', browser.get(here + query).text)

    assert shown("") == ids
    assert shown("?part=failed") == ids[1:3]
    assert shown("?part=under-way") == [ids[3]]
    assert shown("?part=preparing") == ids[4:]
    assert shown("?part=succeeded") == [ids[0]]
    assert shown("?part=stuck") == []
    failed = browser.get(f"{here}?part=failed").text
    assert "went back to the release before" in text(failed)
    assert "no answer in 60 s" in failed
    assert HOSTILE not in failed
    assert HOSTILE in unescape(failed)
    assert "somebody used the assistant a short while ago RECENT_ACTIVITY" in text(browser.get(here).text)
    assert "Failed 2" in text(failed)
    assert browser.get(f"{here}?part=other").status_code == 422


def test_stuck_devices_have_a_list_of_their_own(desk: Desk) -> None:
    ids = fleet(desk.service, 3)
    update = desk.service.announce(rollout=EVERYBODY | {"failure_limit": None})
    offered(desk.service, ids)
    end(desk.service, update, ids[1], "installing")
    desk.service.tick(hours=3)
    browser = desk.as_("viewer")
    page = browser.get(f"/updates/{update}").text
    assert "Of those under way 1 device is silent since it began" in part(page, "outcomes")
    listed = browser.get(f"/updates/{update}/devices?part=stuck").text
    assert re.findall(r'<th scope="row"><span><a href="/devices/([^"]+)">', listed) == [ids[1]]
    assert "silent since it began" in text(listed)
    assert "1 stuck" in text(browser.get("/updates").text)


@pytest.mark.parametrize("query", ["", "part=preparing"])
def test_the_devices_of_an_update_are_paged(desk: Desk, query: str) -> None:
    ids = fleet(desk.service, 5)
    update = desk.service.announce(rollout=EVERYBODY)
    offered(desk.service, ids)
    for number, word in enumerate(("refreshed", "downloading", "downloaded")):
        end(desk.service, update, ids[number], word)
    browser, found, at = desk.as_("viewer"), [], f"/updates/{update}/devices?limit=2&{query}"
    while at:
        page = browser.get(at).text
        found += re.findall(r'<th scope="row"><span><a href="/devices/([^"]+)">', page)
        at = follow(page, "Next") if 'rel="next"' in page else ""
    assert found == ids


def test_the_plan_tells_who_gets_it_when(desk: Desk) -> None:
    ids = fleet(desk.service, 8)
    to_group(desk.service, "canary", *ids[:2])
    update = desk.service.announce(rollout=CANARY)
    browser, here = desk.as_("viewer"), f"/updates/{update}/plan"

    def shown(query: str) -> list[str]:
        return re.findall(r'<a href="/devices/([^"]+)">', browser.get(here + query).text)

    assert shown("") == ids
    by_wave = [shown(f"?wave={number}") for number in (1, 2, 3)]
    assert by_wave[0] == ids[:2]
    assert sorted(one for wave in by_wave for one in wave) == ids
    words = text(browser.get(f"{here}?wave=1").text)
    assert "may begin 30 Mar 2026" in words or "may begin 29 Mar 2026" in words
    assert "the window from 02:00 to 04:00 in Europe/Berlin" in words
    assert "Wave 1: the group canary 2" in words
    planned = desk.service.request("GET", f"/api/v1{here}", key=desk.key("viewer")).get_json()
    for item in planned["items"]:
        assert item["earliest_at"] in browser.get(f"{here}?wave={item['wave']}").text


@pytest.mark.parametrize(
    ("do", "says"),
    [("pause", "It is paused; this is the plan as if it were resumed now."),
     ("withdraw", "It was withdrawn: nobody gets it any more.")],
)  # fmt: skip
def test_the_plan_of_a_stopped_update_says_so(desk: Desk, do: str, says: str) -> None:
    update = desk.service.announce(rollout=CANARY)
    desk.service.steer(update, do)
    assert says in text(desk.as_("viewer").get(f"/updates/{update}/plan").text)


def test_the_plan_looks_through_a_bounded_number_of_devices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repo_server.store.update_pages._LOOKED_THROUGH", 3)
    ids = fleet(desk.service, 8)
    update = desk.service.announce(rollout=CANARY)
    browser, found, pages, at = desk.as_("viewer"), [], 0, f"/updates/{update}/plan?wave=3"
    while at:
        page = browser.get(at).text
        pages += 1
        found += re.findall(r'<a href="/devices/([^"]+)">', page)
        assert found or "None of the 3 devices looked through is in this wave." in text(page)
        at = follow(page, "Next") if 'rel="next"' in page else ""
    shown = desk.service.update(update)["rollout"]["waves"][2]
    assert len(found) == shown["size"]
    assert found == sorted(found)
    assert pages == 3
    assert len(ids) == 8


def test_what_builders_and_devices_write_is_no_markup(desk: Desk) -> None:
    desk.service.register(hostname=HOSTILE)
    update = desk.service.announce(notes=HOSTILE, rollout=CANARY)
    browser = desk.as_("operator")
    for path in ("/updates", *(f"/updates/{update}{more}" for more in ("", "/plan", "/devices", "/withdraw"))):
        page = browser.get(path)
        assert page.status_code == 200
        assert HOSTILE not in page.text
        assert "style=" not in page.text
    assert HOSTILE in unescape(browser.get(f"/updates/{update}/plan").text)


def test_an_unknown_update_is_told_on_a_page(desk: Desk) -> None:
    nothing = "0195e0c8-0000-7000-8000-00000000000f"
    for path in ("", "/devices", "/plan", "/pause", "/withdraw"):
        answer = desk.as_("operator").get(f"/updates/{nothing}{path}")
        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert "there is no such update" in answer.text.lower()


def test_a_device_that_has_left_the_channel_is_told_apart(desk: Desk) -> None:
    ids = fleet(desk.service, 3)
    update = desk.service.announce(rollout=EVERYBODY)
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "installing", "succeeded")
    key = desk.service.key("operator")
    assert desk.service.request("PATCH", f"/api/v1/devices/{ids[0]}", {"channel": "beta"}, key=key).status_code == 200
    beat(desk.service, ids[0], "1.1.0")
    outcomes = part(desk.as_("viewer").get(f"/updates/{update}").text, "outcomes")
    assert "2 devices on the channel" in outcomes
    assert "1 more had to do with it and is not on the channel any more." in outcomes
