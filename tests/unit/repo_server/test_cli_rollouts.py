"""``repo-server updates`` and ``repo-server rollout`` as a person types them, beside a server that runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result

from repo_server import config
from repo_server.cli import main
from repo_server.cli.session import WHO
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import CANARY, beat, end, fleet, offered

UNKNOWN = "0195e0c8-0000-7000-8000-0000000000ff"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(config.ENVIRONMENT + name.upper(), raising=False)


def run(service: Service, *words: str, ok: bool = True) -> Result:
    result = CliRunner().invoke(main, [*words, "--state", str(service.settings.state_dir)])
    assert (result.exit_code == 0) is ok, result.output
    return result


def as_json(service: Service, *words: str) -> Any:
    return json.loads(run(service, *words, "--json").stdout)


def test_updates_are_listed_with_and_without_the_word(service: Service) -> None:
    update = service.announce()
    assert [item["id"] for item in as_json(service, "updates")] == [update]
    assert as_json(service, "updates", "list") == as_json(service, "updates")
    assert update in run(service, "updates").stdout


def test_one_update_is_shown_by_its_id_or_its_version(service: Service) -> None:
    ids = fleet(service, 4)
    update = service.announce(rollout=CANARY)
    whole = as_json(service, "updates", "show", update)
    assert whole == service.update(update) == as_json(service, "updates", "show", "1.1.0")
    words = run(service, "updates", "show", "1.1.0").stdout
    assert re.search(r"^next wave at +2026-03-29T02:30:00Z$", words, re.MULTILINE)
    assert "waiting=" in words
    assert len(ids) == whole["rollout"]["devices"]


def test_the_plan_is_a_table_of_waves_and_one_of_devices(service: Service) -> None:
    ids = fleet(service, 4)
    update = service.announce(rollout=CANARY)
    found = as_json(service, "updates", "plan", update)
    assert [item["device_id"] for item in found["items"]] == ids
    words = run(service, "updates", "plan", update).stdout
    assert all(one in words for one in ids)
    assert "Assumed: " in words
    number = found["items"][0]["wave"]
    only = as_json(service, "updates", "plan", update, "--wave", str(number))["items"]
    assert only == [item for item in found["items"] if item["wave"] == number]


def test_a_rollout_is_steered(service: Service) -> None:
    (one,) = fleet(service, 1)
    service.announce(rollout=CANARY)
    for verb, state in (("pause", "paused"), ("resume", "active"), ("halt", "halted"), ("resume", "active")):
        assert as_json(service, "rollout", verb, "1.1.0")["state"] == state
    assert as_json(service, "rollout", "expedite", "1.1.0", "--device", one)["expedited"] is True
    assert beat(service, one)["offer"]["expedited"] is True
    assert as_json(service, "rollout", "expedite", "1.1.0")["state"] == "active"
    assert as_json(service, "rollout", "withdraw", "1.1.0")["state"] == "withdrawn"
    refused = run(service, "rollout", "resume", "1.1.0", ok=False)
    assert refused.output == "Error: this update was withdrawn; release a higher version instead\n"
    rows = service.db.connection().execute("SELECT who FROM audit_log WHERE action = 'update.withdrawn'")
    assert [row["who"] for row in rows] == [WHO]


def test_waves_and_the_failure_limit_are_changed(service: Service) -> None:
    ids = fleet(service, 2)
    update = service.announce(rollout={"paused": True})
    run(
        service, "rollout", "waves", update, "canary:2h,10%:1d,100%", "--failure-percent", "2", "--failure-minimum", "5"
    )
    shown = service.update(update)["rollout"]
    assert [(wave["group"], wave["percent"], wave["dwell_seconds"]) for wave in shown["waves"]] == [
        ("canary", None, 7_200), (None, 10, 86_400), (None, 100, None),
    ]  # fmt: skip
    assert shown["failure_limit"] == {"percent": 2, "minimum": 5, "count": None}
    run(service, "rollout", "waves", update, "--no-failure-limit")
    assert service.update(update)["rollout"]["failure_limit"] is None
    run(service, "rollout", "expedite", update)
    run(service, "rollout", "resume", update)
    assert offered(service, ids) == ids
    end(service, update, ids[0], "failed")
    assert as_json(service, "rollout", "waves", update, "--failure-count", "1")["state"] == "halted"


def test_a_wrong_word_is_answered_with_a_sentence(service: Service) -> None:
    service.announce()
    for words, says in (
        (("rollout", "pause", UNKNOWN), f"there is no update {UNKNOWN}; `repo-server updates list` lists them"),
        (("updates", "show", "9.9"), "there is no update 9.9"),
        (("rollout", "waves", "1.1.0", "5%,100%"), "each wave but the last needs a dwell time"),
        (("rollout", "waves", "1.1.0"), "give WAVES"),
        (("rollout", "waves", "1.1.0", "5%:1d,100%"), "must stay as they are"),
        (("rollout", "expedite", "1.1.0", "--device", UNKNOWN), "there is no such device"),
    ):
        assert says in run(service, *words, ok=False).output
    service.announce(channel="beta")
    assert "2 updates have the version 1.1.0" in run(service, "rollout", "pause", "1.1.0", ok=False).output
