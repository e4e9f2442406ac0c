"""Where a person's way back leads to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.dpkg import compare_versions
from pi_hook.errors import OverrideError
from pi_hook.overrides import way_back
from pi_hook.policy import Decided, Rules, Situation, Urgency, decide
from pi_hook.reasons import Reason
from pi_hook.update import Bad, Device, Outcome, Past

AT = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
VERSIONS = ["1.0", "1.2", "1.9", "1.10"]
some = st.lists(st.sampled_from(VERSIONS), unique=True)


def past(version: str, outcome: Outcome = Outcome.SUCCEEDED) -> Past:
    return Past("u", version, outcome, AT)


@pytest.mark.parametrize(
    ("device", "present", "expected"),
    [
        (Device(last_good="1.10"), ["1.10", "1.9"], "1.9"),
        (Device(last_good="1.0"), ["1.10", "1.9", "1.0"], "1.0"),
        (Device(last_good="1.10", history=(past("1.2"), past("1.10"))), ["1.10", "1.9", "1.2"], "1.2"),
        (Device(history=(past("1.2", Outcome.FAILED),)), ["1.10", "1.9", "1.2"], "1.9"),
        (Device(last_good="1.9", bad=(Bad("1.9", AT, expedited=False),)), ["1.10", "1.9", "1.2"], "1.2"),
    ],
)
def test_to_the_last_good_one_then_to_one_that_once_succeeded_then_to_the_highest(
    device: Device, present: list[str], expected: str
) -> None:
    assert way_back(device, "1.10", present, None, compare_versions) == expected


devices = st.builds(
    lambda last_good, bad, succeeded: Device(
        last_good=last_good,
        bad=tuple(Bad(version, AT, expedited=False) for version in bad),
        history=tuple(past(version) for version in succeeded),
    ),
    st.sampled_from([None, *VERSIONS]),
    some,
    some,
)


@given(devices, st.sampled_from(VERSIONS), some, st.sampled_from([None, *VERSIONS]))
def test_always_to_one_that_is_here_lower_not_bad_and_not_too_old(
    device: Device, active: str, present: list[str], oldest: str | None
) -> None:
    allowed = {
        version
        for version in present
        if compare_versions(version, active) < 0
        and version not in {bad.version for bad in device.bad}
        and (oldest is None or compare_versions(version, oldest) >= 0)
    }
    try:
        assert way_back(device, active, present, oldest, compare_versions) in allowed
    except OverrideError:
        assert not allowed


situations = st.builds(
    Situation,
    now=st.just(AT),
    zone=st.just(UTC),
    idle=st.none(),
    override=st.just(True),
    synchronised=st.booleans(),
    urgency=st.sampled_from(Urgency),
    held=st.booleans(),
    withheld=st.booleans(),
    downloaded=st.booleans(),
    busy=st.booleans(),
    problems=st.frozensets(st.sampled_from([Reason.DISK_FULL, Reason.METERED, Reason.ON_BATTERY])),
)


@given(situations)
def test_an_override_installs_unless_something_other_than_time_forbids_it(situation: Situation) -> None:
    decision = decide(situation, Rules())
    forbidden = situation.held or situation.withheld or not situation.downloaded or situation.busy
    assert (decision.decision is Decided.INSTALL) is not (forbidden or bool(situation.problems))
    assert decision.reason not in {Reason.OUTSIDE_WINDOW, Reason.RECENT_ACTIVITY, Reason.CLOCK_UNSYNCED}
