"""The words of the set-up pages."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import repo_server
from repo_server.answers_identity import ApiKey, AuditEntry, EnrollmentToken
from repo_server.desk import audit_words, lifetimes
from repo_server.desk.audit_words import Change
from repo_server.desk.problems import number, placed
from repo_server.errors import ConflictError, InvalidError
from repo_server.freshness import Suite
from repo_server.grant import UpdateState
from repo_server.roles import Role

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def changes(action: str, **detail: Any) -> list[Change]:
    entry = AuditEntry(id=1, at=NOW, who="key:x", action=action, subject="s", detail=detail)
    return list(audit_words.told(entry).changes)


def test_every_action_that_is_recorded_has_words() -> None:
    folder = Path(repo_server.__file__).parent
    code = "\n".join(file.read_text() for file in folder.rglob("*.py") if "desk" not in file.relative_to(folder).parts)
    calls = re.findall(r"audit\.record\((?:[^()]|\([^()]*\))*?(f?)\"([a-z_]+\.[a-z_{}A-Z.]+)\"", code)
    named = {action for formatted, action in calls if not formatted}
    assert len(named) > 20
    assert any(formatted for formatted, _ in calls)
    assert named | {f"update.{state}" for state in UpdateState} == set(audit_words.ACTIONS)


def test_a_change_is_told_from_what_to_what() -> None:
    found = changes("device.change", before={"hold": None, "name": "a"}, after={"hold": "guests", "name": "a"})
    assert found == [Change("hold", "nothing", "guests")]


def test_something_new_is_told_by_what_it_has() -> None:
    after = {"name": "attic", "uses_allowed": None, "approval": 1, "recovery": 0, "expires_at": "2026-03-29T01:30:00Z"}
    assert changes("enrollment_token.create", after=after) == [
        Change("name", None, "attic"),
        Change("approval", None, "yes"),
        Change("expires", None, "29 Mar 2026, 01:30 UTC"),
    ]


def test_something_gone_is_told_by_what_it_had() -> None:
    assert changes("api_key.revoke", before={"role": "viewer", "expires_at": None}) == [
        Change("role", "viewer", None),
        Change("expires", "nothing", None),
    ]


def test_a_rollout_s_state_is_told_with_its_reason() -> None:
    assert changes("update.halted", before="active", reason="3 of 20 failed") == [
        Change("state", "active", "halted"),
        Change("reason", None, "3 of 20 failed"),
    ]


def test_waves_are_told_as_people_say_them() -> None:
    plan = {
        "waves": [
            {"percent": None, "group": "canary", "dwell_seconds": 86_400},
            {"percent": 2.5, "group": None, "dwell_seconds": 5_400},
            {"percent": 100, "group": None, "dwell_seconds": None},
        ],
        "failure_limit": {"percent": 2, "minimum": 5, "count": None},
    }
    assert changes("update.rollout", rollout=json.dumps(plan)) == [
        Change("waves", None, "the group canary for 1 d, 2.5 % for 1 h 30 min, 100 %"),
        Change("failure limit", None, "percent 2; minimum 5"),
    ]
    assert changes("update.rollout", rollout="{") == [Change("rollout", None, "{")]


def test_an_entry_leads_to_the_pages_of_its_device_and_update() -> None:
    entry = AuditEntry(id=1, at=NOW, who="x", action="device_update.expedite", subject="D", detail={"update": "U"})
    told = audit_words.told(entry)
    assert (told.link, told.other, told.changes) == ("/devices/D", ("/updates/U", "its update"), ())
    unknown = audit_words.told(AuditEntry(id=1, at=NOW, who="x", action="moon.land", subject="D", detail={}))
    assert (unknown.words, unknown.link) == ("moon.land", None)


@pytest.mark.parametrize(
    ("typed", "until"),
    [("", None), ("  ", None), ("30m", "2026-03-29T02:00:00Z"), (" 7d ", "2026-04-05T01:30:00Z"),
     ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z")],
)  # fmt: skip
def test_until_when_something_is_good(typed: str, until: str | None) -> None:
    assert lifetimes.until(typed, NOW) == until


@pytest.mark.parametrize("typed", ["soon", "0d", "2026-12-24", "999999d 1h"])
def test_a_length_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="must be a length of time"):
        lifetimes.until(typed, NOW)


def test_the_longest_length_that_can_be_typed_is_refused_where_the_calendar_ends() -> None:
    far = datetime(9998, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="must be a length of time"):
        lifetimes.until("900000d", far)


@pytest.mark.parametrize(
    ("ends", "revoked", "words"),
    [(None, None, "good"), (timedelta(days=15), None, "good"), (timedelta(days=14), None, "expires soon"),
     (timedelta(0), None, "expired"), (None, NOW, "revoked")],
)  # fmt: skip
def test_how_it_stands_with_a_key(ends: timedelta | None, revoked: datetime | None, words: str) -> None:
    until = NOW + ends if ends is not None else None
    key = ApiKey(id="k", name="x", role=Role.VIEWER, created_at=NOW, expires_at=until, revoked_at=revoked)
    assert lifetimes.of_key(key, NOW).words == words


@pytest.mark.parametrize(
    ("uses", "allowed", "recovery", "words", "left"),
    [(0, None, False, "good", None), (4, 5, False, "good", 1), (5, 5, False, "used up", 0),
     (0, 5, True, "recovery is open", 5), (6, 5, True, "used up", 0)],
)  # fmt: skip
def test_how_it_stands_with_a_token(
    *, uses: int, allowed: int | None, recovery: bool, words: str, left: int | None
) -> None:
    token = EnrollmentToken(
        id="t", name="x", uses=uses, uses_allowed=allowed, group=None, channel=None, approval=False, recovery=recovery,
        created_at=NOW, expires_at=None, revoked_at=None,
    )  # fmt: skip
    assert (lifetimes.of_token(token, NOW).words, lifetimes.uses_left(token)) == (words, left)


def test_a_refusal_goes_beside_its_field_or_above_all() -> None:
    assert placed(InvalidError("uses: say how many"), ("uses",)) == {"uses": "Say how many."}
    assert placed(ConflictError("it is gone: look again"), ("uses",)) == {"": "It is gone: look again."}
    assert [number(text) for text in ("5", "five", "-1", "٥", "1" * 19)] == [5, "five", "-1", "٥", "1" * 19]


def test_devices_refuse_a_suite_after_a_week_or_at_its_own_end() -> None:
    week, day = NOW + timedelta(days=7), NOW + timedelta(days=1)
    assert Suite("trixie/dists/stable", NOW, None).refused_from == week
    assert Suite("trixie/dists/stable", NOW, day).refused_from == day
    assert Suite("trixie/dists/stable", NOW, week + timedelta(days=1)).refused_from == week
    assert Suite("trixie/dists/stable", None, day).refused_from is None
    suite = Suite("a/trixie/dists/stable", NOW, None)
    assert (suite.debian, suite.channel) == ("a/trixie", "stable")
    assert Suite("dists/stable", NOW, None).debian == ""
