"""The table of moves."""

from __future__ import annotations

import pytest

from repo_server.lifecycle import FINAL, Progress, Report, Status, Verdict, apply, legal

ORDER = [
    Status.GRANTED, Status.REFRESHED, Status.DOWNLOADING, Status.DOWNLOADED, Status.INSTALLING, Status.ACTIVATING,
    Status.RESTARTING, Status.VERIFYING,
]  # fmt: skip
PREPARING = {Status.REFRESHED, Status.DOWNLOADING, Status.DOWNLOADED}


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
def test_every_pair_of_statuses(before: Status, after: Status) -> None:
    if before is Status.SUCCEEDED:
        expected = after in {Status.ROLLED_BACK, Status.FAILED}
    elif before in FINAL or after is Status.GRANTED:
        expected = False
    elif after in FINAL:
        expected = True
    elif after is Status.DEFERRED:
        expected = before is not Status.VERIFYING
    elif before is Status.DEFERRED or {before, after} <= PREPARING:
        expected = True
    else:
        again = (before, after) == (Status.RESTARTING, Status.ACTIVATING)
        expected = again or ORDER.index(after) >= ORDER.index(before)
    assert legal(before, after) is expected


def test_the_way_of_an_update_that_waits_for_its_activation() -> None:
    known = Progress()
    way = ["refreshed", "downloading", "downloaded", "deferred", "deferred", "installing", "deferred", "activating",
           "restarting", "verifying", "succeeded"]  # fmt: skip
    for sequence, word in enumerate(way, start=5):
        known, verdict = apply(known, Report(sequence, Status(word)))
        assert (known, verdict) == (Progress(Status(word), sequence), Verdict.APPLIED)


def test_a_repeat_and_a_late_one_change_nothing() -> None:
    known = Progress(Status.INSTALLING, 7)
    for sequence in (7, 6):
        assert apply(known, Report(sequence, Status.FAILED)) == (known, Verdict.STALE)


def test_an_illegal_move_changes_nothing() -> None:
    known = Progress(Status.ROLLED_BACK, 7)
    assert apply(known, Report(8, Status.SUCCEEDED)) == (known, Verdict.ILLEGAL)


@pytest.mark.parametrize("after", [Status.ROLLED_BACK, Status.FAILED])
def test_a_person_may_go_back_from_what_had_succeeded(after: Status) -> None:
    known, verdict = apply(Progress(Status.SUCCEEDED, 7), Report(8, after))
    assert (known, verdict) == (Progress(after, 8), Verdict.APPLIED)


def test_a_report_about_another_version_is_no_move_of_this_update() -> None:
    known = Progress(Status.INSTALLING, 7)
    assert apply(known, Report(8, Status.FAILED), same_version=False) == (known, Verdict.ILLEGAL)
