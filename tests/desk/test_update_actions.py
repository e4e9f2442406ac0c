"""What operators do to an update: asked first, done, recorded, audited; and what those who may not are shown."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.desk.conftest import Desk
from tests.seeding.people import NAMES
from tests.support.fleet_bodies import announcement

OPERATOR = f"key:{NAMES['operator']}"
_numbers: Iterator[int] = itertools.count(1)


def announce(desk: Desk, **rollout: Any) -> str:
    """A release of an assistant that no device has, so that nothing else happens to it; its id."""
    body = announcement(f"1.{next(_numbers)}.0", name="for-the-desk", rollout=rollout or None)
    answer = desk.service.server.request("POST", "/api/v1/updates/", body=body, key=desk.service.seeded.keys["builder"])
    assert answer.status == 201, answer.content
    return str(answer.json["id"])


def state(desk: Desk, update: str) -> str:
    return str(desk.rows("SELECT state FROM updates WHERE id = ?", update)[0]["state"])


@pytest.mark.parametrize(
    ("verb", "paused", "after", "action"),
    [
        ("Pause", False, "paused", "update.paused"),
        ("Begin", True, "active", "update.active"),
        ("Halt", False, "halted", "update.halted"),
        ("Expedite", False, "active", "update.expedite"),
        ("Withdraw", False, "withdrawn", "update.withdrawn"),
    ],
)
def test_an_operator_does_it_in_a_dialog(desk: Desk, verb: str, paused: bool, after: str, action: str) -> None:
    update = announce(desk, paused=paused)
    visitor = desk.visit("operator")
    visitor.open(f"/updates/{update}")
    before = desk.newest_audit()
    visitor.page.get_by_role("link", name=verb, exact=True).click()
    dialog = visitor.page.get_by_role("dialog", name=f"{verb} for-the-desk")
    expect(dialog).to_be_visible()
    assert desk.newest_audit() == before  # nothing is done before somebody says so
    dialog.get_by_role("button", name=verb).click()
    expect(visitor.page.get_by_role("status").filter(has_text="for-the-desk")).to_be_visible()
    assert visitor.path() == f"/updates/{update}"
    assert state(desk, update) == after
    assert desk.audited(update)[0] == (OPERATOR, action)


def test_what_was_halted_goes_on(desk: Desk) -> None:
    update = announce(desk)
    visitor = desk.visit("operator")
    visitor.open(f"/updates/{update}")
    for verb, told, after in (("Halt", "is halted", "halted"), ("Resume", "goes on", "active")):
        visitor.page.get_by_role("link", name=verb, exact=True).click()
        visitor.page.get_by_role("dialog").get_by_role("button", name=verb).click()
        expect(visitor.page.get_by_role("status").filter(has_text=told)).to_be_visible()
        assert state(desk, update) == after


def test_other_waves_are_taken_and_wrong_ones_are_told_with_what_was_typed(desk: Desk) -> None:
    update = announce(desk, paused=True)
    visitor = desk.visit("operator")
    visitor.watch.expected.append("status of 4")
    visitor.open(f"/updates/{update}")
    visitor.page.get_by_role("link", name="Change waves and limit").click()
    dialog = visitor.page.get_by_role("dialog")
    dialog.get_by_label("Waves to come").fill("50%:1d, 20%:1d, 100%")
    dialog.get_by_role("button").last.click()
    expect(dialog.get_by_role("alert")).to_contain_text("Each percentage must be larger")
    expect(dialog.get_by_label("Waves to come")).to_have_value("50%:1d, 20%:1d, 100%")
    dialog.get_by_label("Waves to come").fill("canary:1d, 20%:2d, 100%")
    dialog.get_by_role("button").last.click()
    expect(visitor.page.get_by_role("status").filter(has_text="is changed")).to_be_visible()
    (row,) = desk.rows("SELECT rollout FROM updates WHERE id = ?", update)
    assert '"group": "canary"' in row["rollout"]
    assert '"percent": 20.0, "group": null, "dwell_seconds": 172800' in row["rollout"]
    assert desk.audited(update)[0] == (OPERATOR, "update.rollout")


@pytest.mark.parametrize(("role", "may"), [("viewer", set()), ("builder", {"Withdraw"})])
def test_who_may_not_is_shown_no_way_and_gets_none(desk: Desk, role: str, may: set[str]) -> None:
    update = announce(desk)
    visitor = desk.visit(role)
    visitor.watch.expected.append("status of 403")
    visitor.open(f"/updates/{update}")
    shown = {
        verb
        for verb in ("Pause", "Halt", "Expedite", "Withdraw", "Change waves and limit")
        if visitor.page.get_by_role("link", name=verb, exact=True).count()
    }
    assert shown == may
    token, before = visitor.csrf_token(), desk.newest_audit()
    for verb in ("pause", "resume", "halt", "expedite", "rollout", *(() if may else ("withdraw",))):
        visitor.open(f"/updates/{update}/{verb}", 403)
        assert visitor.post(f"/updates/{update}/{verb}", {"csrf_token": token}) == 403
    assert (state(desk, update), desk.newest_audit()) == ("active", before)


def test_a_builder_takes_back_what_was_released(desk: Desk) -> None:
    update = announce(desk)
    visitor = desk.visit("builder")
    visitor.open("/updates")
    visitor.open(f"/updates/{update}")
    visitor.page.get_by_role("link", name="Withdraw", exact=True).click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(visitor.page.get_by_role("status").filter(has_text="is withdrawn")).to_be_visible()
    assert desk.audited(update)[0] == (f"key:{NAMES['builder']}", "update.withdrawn")
