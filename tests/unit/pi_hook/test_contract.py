"""tests/contract/wire.json, the device's side: it writes what is valid there, and reads every answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pi_hook.errors import BadMessageError
from pi_hook.policy import Decided
from pi_hook.reasons import Reason
from pi_hook.wire import (
    Gate,
    Heartbeat,
    HeartbeatAnswer,
    Registered,
    Status,
    parse_acknowledged,
    parse_error,
    parse_time,
    statuses_body,
)

WIRE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "contract" / "wire.json").read_text(encoding="utf-8"))
AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def body(kind: str, case: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry["body"] for entry in WIRE[kind] if entry["case"] == case)
    return found


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_null(v) for k, v in value.items() if v is not None}
    return value


def heartbeat(**changes: Any) -> Heartbeat:
    plain: dict[str, Any] = {
        "boot_id": "7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a01", "sent_at": AT, "clock_synchronised": True,
        "uptime_seconds": 86_400, "agent_version": "0.1.0", "timezone": "Europe/Berlin",
        "assistant": "sample-assistant", "installed": "1.1.0", "active": "1.1.0", "idle_seconds": 120,
        "gate": Gate(Decided.DEFER, Reason.RECENT_ACTIVITY, datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
        "update": ("0195e0c8-0000-7000-8000-000000000001", "deferred"),
    }  # fmt: skip
    return Heartbeat(**{**plain, **changes})


def test_a_full_heartbeat_is_written_as_agreed() -> None:
    assert heartbeat().to_json() == body("heartbeat_requests", "full")


def test_a_restart_that_is_asked_for_is_written_as_agreed() -> None:
    assert heartbeat(reboot_required=True).to_json() == body("heartbeat_requests", "restart asked for")
    assert heartbeat(debian="trixie").to_json() == body("heartbeat_requests", "first since the agent has started")


def test_a_fresh_device_s_heartbeat_is_written_as_agreed() -> None:
    fresh = heartbeat(
        clock_synchronised=False, uptime_seconds=3, timezone="Etc/UTC", installed=None, active=None,
        idle_seconds=None, gate=None, update=None,
    )  # fmt: skip
    assert fresh.to_json() == without_null(body("heartbeat_requests", "fresh device"))


def test_statuses_are_written_as_agreed() -> None:
    retry = datetime(2026, 3, 29, 2, 30, tzinfo=UTC)
    deferred = Status("u", 7, "deferred", AT, "1.1.0", reason="RECENT_ACTIVITY", retry_at=retry)
    assert statuses_body([deferred]) == body("status_requests", "deferred")
    tail = "Traceback (most recent call last):\n"
    back = Status("u", 8, "rolled_back", AT, "1.2.0", detail="exited with status 1", log_tail=tail)
    assert statuses_body([back]) == body("status_requests", "rolled back with log")


@pytest.mark.parametrize("case", [entry["case"] for entry in WIRE["heartbeat_answers"]])
def test_every_answer_is_read_also_with_fields_of_a_newer_server(case: str) -> None:
    agreed = body("heartbeat_answers", case)
    answer = HeartbeatAnswer.parse({**agreed, "mood": "fine", "offer": agreed["offer"] and {**agreed["offer"], "x": 1}})
    assert answer.next_heartbeat_seconds == agreed["next_heartbeat_seconds"]
    assert answer.hold == agreed["hold"]
    assert answer.timezone == agreed["timezone"]
    assert answer.state == agreed["state"]
    assert answer.rotate_token == agreed["rotate_token"]
    assert (answer.offer is None) == (agreed["offer"] is None)
    assert (answer.withheld is None) == (agreed["withheld"] is None)
    if answer.offer is not None:
        offer = agreed["offer"]
        assert (answer.offer.version, str(answer.offer.urgency)) == (offer["version"], offer["urgency"])
        assert answer.offer.expedited is offer["expedited"]
    if answer.withheld is not None:
        assert answer.withheld.reason == agreed["withheld"]["reason"]


def test_an_older_server_s_answer_sets_no_zone_and_says_nothing_of_approval() -> None:
    agreed = {
        k: v for k, v in body("heartbeat_answers", "offer").items() if k not in {"timezone", "state", "rotate_token"}
    }
    answer = HeartbeatAnswer.parse(agreed)
    assert (answer.timezone, answer.state, answer.rotate_token) == (None, None, False)


def nested(field: str, value: Any) -> dict[str, Any]:
    good = json.loads(json.dumps(body("heartbeat_answers", "offer")))
    table, _, key = field.rpartition(".")
    (good[table] if table else good)[key] = value
    return good  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("server_time", "yesterday", "server_time"),
        ("server_time", "2026-03-29T01:30:00", "server_time"),
        ("next_heartbeat_seconds", None, "next_heartbeat_seconds"),
        ("next_heartbeat_seconds", True, "next_heartbeat_seconds"),
        ("channel", 3, "channel"),
        ("timezone", ["Europe/Berlin"], "timezone"),
        ("offer", [], "offer"),
        ("offer.version", "", "version"),
        ("offer.urgency", "at once", "urgency"),
        ("offer.granted_at", 5, "granted_at"),
        ("withheld", {"update_id": "u", "version": "1", "reason": "X"}, "both"),
    ],
)
def test_an_answer_that_matters_and_is_wrong_is_refused_by_name(field: str, value: Any, named: str) -> None:
    with pytest.raises(BadMessageError, match=named):
        HeartbeatAnswer.parse(nested(field, value))


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_an_answer_that_is_no_object_is_refused(value: Any) -> None:
    for parse in (HeartbeatAnswer.parse, Registered.parse, parse_acknowledged):
        with pytest.raises(BadMessageError, match="object"):
            parse(value)


def test_an_interval_out_of_reason_is_bounded() -> None:
    assert HeartbeatAnswer.parse(nested("next_heartbeat_seconds", -5)).next_heartbeat_seconds == 1
    assert HeartbeatAnswer.parse(nested("next_heartbeat_seconds", 10**9)).next_heartbeat_seconds == 86_400


def test_long_texts_are_cut_to_what_the_server_takes() -> None:
    status = Status("u", 1, "failed", AT, "1", detail="d" * 5000, log_tail="begin" + "x" * 20_000 + "end").to_json()
    assert len(status["detail"]) == 1000
    assert len(status["log_tail"]) == 16_384
    assert status["log_tail"].endswith("end")


def test_a_status_comes_back_from_its_json() -> None:
    status = Status("u", 7, "deferred", AT, "1.1.0", reason="BUSY", retry_at=AT, detail="d", log_tail="t")
    assert Status.from_json("u", status.to_json()) == status
    with pytest.raises(BadMessageError, match="sequence"):
        Status.from_json("u", {**status.to_json(), "sequence": 0})


def test_error_objects_are_read_and_others_are_not() -> None:
    assert parse_error({"error": {"kind": "gone", "message": "m"}}) == ("gone", "m")
    assert parse_error({"error": "gone"}) is None
    assert parse_error([1]) is None


def test_times_need_an_offset() -> None:
    assert parse_time("2026-03-29T03:30:00+02:00", "at") == AT
    with pytest.raises(BadMessageError, match="at"):
        parse_time("2026-03-29T03:30:00", "at")
