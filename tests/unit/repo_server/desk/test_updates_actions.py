"""What operators do to updates on the pages: asked first, done as the API does it, and audited."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.repo_server.desk.conftest import Desk
from tests.unit.repo_server.desk.test_updates_pages import EVERYBODY, follow, text
from tests.unit.repo_server.spreading import CANARY, HOUR, audit, end, fleet, offered, to_group

FORM = {"opened": "1", "dwell": "1h", "waves": "50%:1h, 100%", "percent": "50", "minimum": "2", "count": ""}


def begun(desk: Desk) -> str:
    ids = fleet(desk.service, 8)
    to_group(desk.service, "canary", *ids[:3])
    update = desk.service.announce(rollout=CANARY)
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "installing", "succeeded")
    end(desk.service, update, ids[1], "installing")
    return update


@pytest.mark.parametrize(
    ("verb", "state", "says", "done"),
    [
        ("pause", "paused", "6 devices have not begun and wait until it is resumed.", "is paused"),
        ("halt", "halted", "6 devices have not begun and wait until somebody resumes it.", "is halted"),
        ("withdraw", "withdrawn", "6 devices have not begun and will not get it.", "is withdrawn"),
        ("expedite", "active", "Waves no longer count: 5 devices that wait for a turn may install at once.",
         "is expedited"),
    ],
)  # fmt: skip
def test_an_action_is_asked_in_numbers_then_done_and_told(
    desk: Desk, verb: str, state: str, says: str, done: str
) -> None:
    update = begun(desk)
    browser, before = desk.as_("operator"), desk.service.dump()
    asked = browser.get(f"/updates/{update}/{verb}")
    assert says in text(asked.text)
    assert follow(asked.text, "Cancel") == f"/updates/{update}"
    assert [line for line in desk.service.dump() if '"updates"' in line] == [
        line for line in before if '"updates"' in line
    ]
    answer = browser.post(f"/updates/{update}/{verb}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/updates/{update}")
    assert f"sample-assistant 1.1.0 on stable {done}" in text(browser.get(f"/updates/{update}").text)
    assert desk.service.update(update)["state"] == state
    row = (
        desk.service.db.connection()
        .execute("SELECT who, subject FROM audit_log WHERE action LIKE 'update%' ORDER BY id DESC")
        .fetchone()
    )
    assert tuple(row) == ("key:test operator", update)


def test_resuming_after_a_halt_says_what_is_taken_as_known(desk: Desk) -> None:
    ids = fleet(desk.service, 3)
    update = desk.service.announce(rollout=EVERYBODY | {"failure_limit": {"count": 1}})
    offered(desk.service, ids)
    end(desk.service, update, ids[0], "failed")
    browser = desk.as_("operator")
    assert "taken as known (1 device failed)" in text(browser.get(f"/updates/{update}/resume").text)
    assert browser.post(f"/updates/{update}/resume").status_code == 303
    assert desk.service.update(update)["state"] == "active"
    assert audit(desk.service)[-1] == ("key", "update.active")
    assert "Failed since it was resumed 0 of 0" in text(browser.get(f"/updates/{update}").text)


def test_beginning_what_was_announced_without_beginning(desk: Desk) -> None:
    update = desk.service.announce(rollout=CANARY | {"paused": True})
    browser = desk.as_("operator")
    assert "It begins: wave 1 (the group canary) opens at once." in text(browser.get(f"/updates/{update}/resume").text)
    browser.post(f"/updates/{update}/resume")
    assert "on stable has begun" in text(browser.get(f"/updates/{update}").text)
    assert desk.service.update(update)["rollout"]["waves"][0]["opened_at"] is not None


def test_a_builder_withdraws_without_numbers_of_devices(desk: Desk) -> None:
    update = begun(desk)
    browser = desk.as_("builder")
    words = text(browser.get(f"/updates/{update}/withdraw").text)
    assert "Devices that have not begun with it will not get it." in words
    assert "6 devices" not in words
    assert browser.post(f"/updates/{update}/withdraw").status_code == 303
    assert desk.service.update(update)["state"] == "withdrawn"
    assert browser.get(f"/updates/{update}").status_code == 200


@pytest.mark.parametrize("verb", ["pause", "resume", "halt", "expedite"])
def test_what_is_no_longer_possible_is_told_where_it_was_asked(desk: Desk, verb: str) -> None:
    update = desk.service.announce(rollout=CANARY)
    desk.service.steer(update, "withdraw")
    answer = desk.as_("operator").post(f"/updates/{update}/{verb}")
    assert answer.status_code == 409
    assert "This update was withdrawn; release a higher version instead" in text(answer.text)
    assert desk.service.update(update)["state"] == "withdrawn"


def test_pausing_what_is_halted_says_what_to_do(desk: Desk) -> None:
    update = desk.service.announce(rollout=CANARY)
    desk.service.steer(update, "halt")
    answer = desk.as_("operator").post(f"/updates/{update}/pause")
    assert "halted, which stops it already; resume it or withdraw it" in text(answer.text)
    assert desk.service.update(update)["state"] == "halted"


def test_the_form_shows_the_rollout_as_it_is(desk: Desk) -> None:
    update = begun(desk)
    page = desk.as_("operator").get(f"/updates/{update}/rollout").text
    assert "Open already, and to stay so: the group canary." in text(page)
    for name, value in FORM.items():
        assert f'name="{name}" ' in page
        if value:
            assert f'value="{value}"' in page, name
    assert "checked" not in page


@pytest.mark.parametrize(
    ("form", "waves", "limit"),
    [
        ({}, CANARY["waves"], {"percent": 50.0, "minimum": 2, "count": None}),
        (
            {"waves": "10%:2h,20%:1d,100%", "dwell": "3h", "percent": "", "minimum": "", "count": "7"},
            [{"group": "canary", "dwell_seconds": 3 * HOUR}, {"percent": 10, "dwell_seconds": 2 * HOUR},
             {"percent": 20, "dwell_seconds": 24 * HOUR}, {"percent": 100}],
            {"percent": None, "minimum": 1, "count": 7},
        ),
        ({"percent": "", "count": "", "unlimited": "1"}, CANARY["waves"], None),
    ],
)  # fmt: skip
def test_waves_that_are_not_open_and_the_limit_are_changed(desk: Desk, form: Any, waves: Any, limit: Any) -> None:
    update = begun(desk)
    browser = desk.as_("operator")
    answer = browser.post(f"/updates/{update}/rollout", FORM | form)
    assert (answer.status_code, answer.headers.get("Location")) == (303, f"/updates/{update}"), text(answer.text)
    shown = desk.service.update(update)["rollout"]
    whole = [{"group": None, "percent": None, "dwell_seconds": None} | one for one in waves]
    assert [{key: one[key] for key in ("group", "percent", "dwell_seconds")} for one in shown["waves"]] == whole
    assert shown["failure_limit"] == limit
    changed = form != {}
    assert (audit(desk.service)[-1] == ("key", "update.rollout")) is changed
    assert json.loads(json.dumps(shown["waves"][0]["opened_at"])) == "2026-03-29T01:30:00Z"


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({"waves": "100%:1h"}, 422, "nothing follows the last wave"),
        ({"waves": "abc, 100%"}, 422, "only the first wave can be a group"),
        ({"waves": "50%:1h, 40%:1h, 100%"}, 422, "each percentage must be larger"),
        ({"waves": "50%:soon, 100%"}, 422, "is not a duration such as 30m, 12h or 7d"),
        ({"waves": "50%:99d, 100%"}, 422, "dwell_seconds: Input should be less than or equal to"),
        ({"waves": ""}, 422, "a wave is a group or a percentage"),
        ({"dwell": ""}, 422, "each wave but the last needs a dwell time"),
        ({"percent": "", "count": ""}, 422, "say that it never halts by itself"),
        ({"percent": "5", "unlimited": "1"}, 422, "both cannot be meant"),
        ({"percent": "many"}, 422, "percent: 'many' is not a number"),
        ({"minimum": "2.5"}, 422, "minimum: '2.5' is not a whole number"),
        ({"percent": "101"}, 422, "percent: Input should be less than or equal to 100"),
        ({"opened": "0"}, 409, "a wave has opened since the form was shown"),
    ],
)
def test_a_form_that_is_wrong_is_shown_again_with_what_was_typed(
    desk: Desk, form: dict[str, str], status: int, says: str
) -> None:
    update = begun(desk)
    before = desk.service.update(update)
    answer = desk.as_("operator").post(f"/updates/{update}/rollout", FORM | {"count": "17"} | form)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert says.lower() in text(answer.text).lower()
    if "count" not in form:
        assert 'value="17"' in answer.text
    if form.get("waves"):
        assert f'value="{form["waves"]}"' in answer.text
    assert desk.service.update(update) == before


@pytest.mark.parametrize("how", ["all open", "expedited"])
def test_where_waves_do_not_count_only_the_limit_is_asked_for(desk: Desk, how: str) -> None:
    update = desk.service.announce(rollout=EVERYBODY if how == "all open" else CANARY)
    if how == "expedited":
        desk.service.steer(update, "expedite")
    browser = desk.as_("operator")
    page = browser.get(f"/updates/{update}/rollout").text
    assert 'name="waves"' not in page
    assert browser.post(f"/updates/{update}/rollout", {"opened": "1", "count": "3", "minimum": "1"}).status_code == 303
    shown = desk.service.update(update)["rollout"]
    assert shown["failure_limit"] == {"percent": None, "minimum": 1, "count": 3}
    assert len(shown["waves"]) == (1 if how == "all open" else 3)


def test_an_update_that_has_not_begun_gets_other_waves_wholly(desk: Desk) -> None:
    update = desk.service.announce(rollout=CANARY | {"paused": True})
    browser = desk.as_("operator")
    assert 'value="canary:1h, 50%:1h, 100%"' in browser.get(f"/updates/{update}/rollout").text
    form = {"opened": "0", "waves": "5%:1d, 100%", "unlimited": "1"}
    assert browser.post(f"/updates/{update}/rollout", form).status_code == 303
    assert [one["percent"] for one in desk.service.update(update)["rollout"]["waves"]] == [5, 100]
