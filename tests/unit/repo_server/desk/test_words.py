"""Words for every code, and a device's gate in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pi_hook.reasons import Reason as GateReason
from repo_server.desk import words
from repo_server.desk.words import Kind
from repo_server.grant import Reason, UpdateState, Urgency
from repo_server.lifecycle import Status, Stuck, Verdict
from repo_server.plan import SUPERSEDED, State
from repo_server.presence import Presence
from repo_server.store import devices

NOW = datetime(2026, 3, 28, 21, 48, tzinfo=UTC)
"""22:48 in Berlin, whose clocks go forward four hours later."""
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize("code", [*GateReason, *Reason, SUPERSEDED, "EXPEDITED", "HEARD_AGAIN", *map(str.upper, Stuck)])
def test_every_reason_has_words_of_its_own(code: str) -> None:
    assert code in words.REASONS
    others = [why.text for other, why in words.REASONS.items() if other != code]
    assert words.reason(code).text not in others


@pytest.mark.parametrize(
    ("say", "codes"),
    [
        (words.status, [*Status, "waiting", "newer"]),
        (words.presence, [*Presence]),
        (words.device_state, [devices.ACTIVE, devices.PENDING, devices.DECOMMISSIONED]),
        (words.update_state, [*UpdateState]),
        (words.urgency, [*Urgency]),
        (words.stuck, [*Stuck]),
        (words.verdict, [*Verdict]),
        (words.planned, [*State]),
    ],
)
def test_every_code_has_words_of_its_own_and_an_unknown_one_is_shown(
    say: Callable[[str], words.Said], codes: list[str]
) -> None:
    told = [say(str(code)) for code in codes]
    assert len({one.text for one in told}) == len(codes)
    assert not [one.text for one in told if "_" in one.text]
    assert say("of_a_newer_server").text == "of a newer server"


def test_failures_are_bad_and_success_is_ok() -> None:
    assert {words.status(code).kind for code in ("failed", "rolled_back")} == {Kind.BAD}
    assert words.status("succeeded").kind is Kind.OK
    assert [words.presence(code).kind for code in (None, "online", "late", "lost")] == [
        Kind.IDLE, Kind.OK, Kind.WARN, Kind.BAD,
    ]  # fmt: skip


def test_a_reason_of_a_newer_agent_is_told_as_it_came() -> None:
    assert words.reason("TOO_HOT").text == "too hot (this server has no better words for it)"
    told = words.gate("defer", "TOO_HOT", None, BERLIN, NOW)
    assert (told.text, told.code) == ("waiting", "TOO_HOT")


def test_the_gate_waits_for_a_time_of_night() -> None:
    told = words.gate("defer", "OUTSIDE_WINDOW", NOW + timedelta(hours=3, minutes=12), BERLIN, NOW)
    # 02:00 does not exist in this night.
    assert told.text == "waiting for 03:00 Europe/Berlin, in 3 h 12 min"
    assert told.why == "it is not this device's time of night"
    assert (told.kind, told.code) == (Kind.WAIT, "OUTSIDE_WINDOW")


def test_the_gate_waits_for_another_day() -> None:
    told = words.gate("defer", "RECENT_ACTIVITY", NOW + timedelta(days=2, hours=2, minutes=12), BERLIN, NOW)
    assert told.text == "waiting for 02:00 on Tuesday 31 March Europe/Berlin, in 2 d 2 h"
    told = words.gate("defer", "OUTSIDE_WINDOW", datetime(2027, 1, 1, tzinfo=UTC), BERLIN, NOW)
    assert told.text == "waiting for 01:00 on Friday 1 January 2027 Europe/Berlin, in 278 d 2 h"


def test_a_time_that_the_clocks_show_twice_is_told_with_its_offset() -> None:
    now = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    for minutes, offset in ((30, "+02:00"), (90, "+01:00")):
        told = words.gate("defer", "OUTSIDE_WINDOW", now + timedelta(minutes=minutes), BERLIN, now)
        assert told.text.startswith(f"waiting for 02:30 Europe/Berlin (UTC{offset}), in ")


def test_what_a_gate_says_without_a_time() -> None:
    assert words.gate(None, None, None, BERLIN, NOW).text == "has not told anything of its gate yet"
    assert words.gate("install", None, None, BERLIN, NOW).kind is Kind.OK
    assert words.gate("nothing", None, None, BERLIN, NOW).text == "nothing to install"
    told = words.gate("defer", "DISK_FULL", None, BERLIN, NOW)
    assert (told.kind, told.text, told.why) == (Kind.BAD, "waiting", "it has not enough free space")
    assert told.mend == "Free some space on the device."
    assert words.gate("defer", None, None, BERLIN, NOW).why == "the device gives no reason"


@pytest.mark.parametrize(("seconds", "ago"), [(0, "0 s"), (720, "12 min")])
def test_a_time_that_has_come_is_no_longer_waited_for(seconds: int, ago: str) -> None:
    told = words.gate("defer", "OUTSIDE_WINDOW", NOW - timedelta(seconds=seconds), "Asia/Tokyo", NOW)
    assert f", {ago} ago; its next heartbeat will tell" in told.text


def test_a_zone_that_is_not_known_here_is_told_in_utc() -> None:
    told = words.gate("defer", "OUTSIDE_WINDOW", NOW + timedelta(minutes=12), "Mars/Olympus", NOW)
    assert told.text == "waiting for 22:00 UTC, in 12 min"
