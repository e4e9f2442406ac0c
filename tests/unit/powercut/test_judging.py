"""What `make powercut` calls a failure, where it aims, and how it sees how far the device is."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from demo.vpi.guest import GuestError
from tests.powercut.__main__ import WEIGHTS, aims
from tests.powercut.checks import guarded, one_true_story
from tests.powercut.losing_disk import Cut
from tests.powercut.phases import PHASES, Phases
from tests.powercut.report import line, summary
from tests.powercut.round import Round


def events(*told: tuple[int | None, str] | tuple[int, str, str]) -> list[dict[str, Any]]:
    return [dict(zip(("sequence", "status", "verdict"), (*one, "applied")[:3], strict=True)) for one in told]


STORY = events((None, "granted"), (7, "refreshed"), (8, "downloaded"), (9, "installing"), (10, "succeeded"))


def test_a_story_with_one_end_that_only_grew_is_true() -> None:
    assert one_true_story(STORY[:3], STORY) == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (events((7, "refreshed"), (8, "installing"), (8, "succeeded")), "sequence numbers"),
        (events((7, "refreshed"), (9, "succeeded")), "sequence numbers"),
        (events((9, "refreshed"), (8, "succeeded")), "sequence numbers"),
        (events((7, "installing"), (8, "deferred", "illegal"), (9, "succeeded")), "8 deferred: illegal"),
        (events((7, "installing"), (8, "verifying")), "the statuses are"),
        (events((7, "succeeded"), (8, "succeeded")), "the statuses are"),
        (events((7, "succeeded"), (8, "verifying")), "the statuses are"),
        ([], "nothing"),
    ],
)
def test_every_other_story_is_a_failure(told: list[dict[str, Any]], words: str) -> None:
    assert words in " ".join(one_true_story([], told))


def test_a_record_that_changed_afterwards_is_a_failure() -> None:
    assert "has changed" in " ".join(one_true_story(events((6, "refreshed")), STORY))


def test_aims_are_of_the_seed_cover_all_phases_and_give_the_real_payload_its_share() -> None:
    drawn = aims(200, 5, 0.25)
    assert drawn == aims(200, 5, 0.25) != aims(200, 6, 0.25)
    assert aims(20, 5, 0.25) == drawn[:20]
    assert {aim.phase for aim in drawn} == set(WEIGHTS) <= set(PHASES)
    assert Counter(aim.payload for aim in drawn) == {"sample-assistant": 150, "wyoming-piper": 50}
    assert {aim.payload for aim in aims(4, 5, 0)} == {"sample-assistant"}


def test_phases_are_seen_in_what_is_written() -> None:
    phases = Phases(b'"version": "1.1.0"')
    state = b'{\n "device": {"update": %s, "x": {"version": "1.1.0"}}'
    phases.saw(state % b"null")
    assert phases.now == "", "before the offer"
    phases.saw(b"\0" * 512 + state % b'{"phase": "installing"')
    phases.saw((state % b'{"phase": "verifying"').replace(b"1.1.0", b"1.0.0"))
    assert phases.now == "installing"
    assert phases.passed("downloaded")
    assert not phases.passed("installing")
    phases.saw(state % b"null")
    assert (phases.now, list(phases.entered)) == ("over", ["installing", "over"])


def test_the_tables_tell_where_cuts_fell_and_what_failed() -> None:
    drawn = aims(2, 1, 0)
    cut = Cut(held=10, kept=3, torn=2)
    well = Round(drawn[0], "installing", "installing", cut.held, cut.dropped, cut.torn, outcome="succeeded")
    ill = Round(drawn[1], "verifying", "verifying", 1, 1, 0, failures=["it smells"])
    assert "it smells" in line(ill)
    assert line(well).endswith("-")
    told = summary([well, ill], 1, 120)
    assert "2 cuts with seed 1 in 2 min: 1 passed, 1 failed" in told
    assert "cut 2: it smells" in told
    assert [words.split()[:5] for words in told.splitlines() if words.startswith("installing")] == [
        ["installing", "1", "10", "5", "2"]
    ]


@pytest.mark.parametrize(("answers", "wrong"), [([["ill"], []], []), ([["ill"]] * 3, ["at the end: ill"])])
def test_only_what_stays_wrong_counts(
    answers: list[list[str]], wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    left = iter(answers)
    found: list[str] = []
    guarded("at the end", found, lambda: next(left))
    assert found == wrong
    assert len(waits) == sum(bool(answer) for answer in answers)


def test_a_guest_that_does_not_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> list[str]:
        raise GuestError("it is silent")

    monkeypatch.setattr(time, "sleep", lambda _: None)
    found: list[str] = []
    guarded("after the boot", found, check)
    assert found == ["after the boot: it is silent"]
