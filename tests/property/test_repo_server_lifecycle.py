"""Rules that hold for every course of reports."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from repo_server.lifecycle import FINAL, Progress, Report, Status, Verdict, apply

reports = st.builds(Report, st.integers(1, 12), st.sampled_from(Status))


def run(course: list[Report]) -> tuple[Progress, list[Verdict]]:
    known, verdicts = Progress(), []
    for report in course:
        known, verdict = apply(known, report)
        verdicts.append(verdict)
    return known, verdicts


@given(st.lists(reports))
def test_the_sequence_never_goes_back_and_only_an_applied_report_changes_anything(course: list[Report]) -> None:
    known = Progress()
    for report in course:
        after, verdict = apply(known, report)
        if verdict is Verdict.APPLIED:
            assert after == Progress(report.status, report.sequence)
            assert after.sequence > known.sequence
        else:
            assert after == known
        known = after


@given(st.lists(reports))
def test_nothing_follows_an_outcome_but_that_a_person_goes_back(course: list[Report]) -> None:
    known = Progress()
    for report in course:
        after, _ = apply(known, report)
        if known.status is Status.SUCCEEDED:
            assert after == known or after.status in {Status.ROLLED_BACK, Status.FAILED}
        elif known.status in FINAL:
            assert after == known
        known = after


@given(st.lists(reports), st.data())
def test_repeating_any_part_of_what_was_sent_changes_nothing(course: list[Report], data: st.DataObject) -> None:
    """What an outbox does after a lost answer: it sends from some point on once more."""
    course = sorted(course, key=lambda report: report.sequence)
    known, _ = run(course)
    again = course[data.draw(st.integers(0, len(course))) :]
    for report in again:
        after, verdict = apply(known, report)
        if report.sequence <= known.sequence:
            assert verdict is Verdict.STALE
        assert after == known or verdict is Verdict.APPLIED
        assert after.sequence >= known.sequence


@given(st.lists(st.sampled_from(Status), max_size=8), st.randoms(use_true_random=False))
def test_in_whatever_order_a_batch_is_sorted_the_end_is_the_same(
    statuses: list[Status], shuffle: random.Random
) -> None:
    course = [Report(sequence, status) for sequence, status in enumerate(statuses, start=1)]
    shuffled = course[:]
    shuffle.shuffle(shuffled)
    assert run(sorted(shuffled, key=lambda report: report.sequence)) == run(course)
