"""Rules that hold for every device and every set of updates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from repo_server.grant import (
    DeviceFacts,
    Grant,
    Known,
    Nothing,
    UpdateFacts,
    UpdateState,
    Urgency,
    Withhold,
    grant,
    offered,
)
from repo_server.lifecycle import FINAL, STARTED, Status
from repo_server.versions import compare
from repo_server.waves import Reach

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=5)
VERSIONS = ["0.9", "1.0~rc1", "1.0", "1.0+fix1", "1.1", "1.10", "2.0"]

versions = st.sampled_from(VERSIONS)
update_lists = st.lists(
    st.builds(
        UpdateFacts,
        id=st.just(""),
        name=st.just("sample-assistant"),
        version=versions,
        urgency=st.sampled_from(Urgency),
        state=st.sampled_from(UpdateState),
        targets=st.sampled_from([frozenset({("trixie", "arm64")}), frozenset({("trixie", "amd64")})]),
        reach=st.sampled_from([Reach(), Reach(0.0), Reach(0.0, "canary"), Reach(50.0)]),
        expedited=st.booleans(),
    ),
    unique_by=lambda update: update.version,
).map(lambda updates: [_with_id(update) for update in updates])
known = st.builds(
    Known, st.sampled_from(Status), st.sampled_from([None, EARLIER]), st.sampled_from(Urgency), st.booleans()
)
devices = st.builds(
    DeviceFacts,
    debian=st.just("trixie"),
    architecture=st.just("arm64"),
    installed=st.none() | versions,
    active=st.none() | versions,
    hold=st.none() | st.just("held"),
    updates=st.dictionaries(versions, known),
    id=st.sampled_from(["a device", "another"]),
    group=st.sampled_from([None, "canary", "kitchens"]),
)


def _with_id(update: UpdateFacts) -> UpdateFacts:
    return replace(update, id=update.version)


@given(devices, update_lists, st.randoms(use_true_random=False))
def test_the_order_of_the_updates_does_not_matter(
    device: DeviceFacts, updates: list[UpdateFacts], shuffle: object
) -> None:
    shuffled = updates[:]
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    assert grant(device, shuffled, NOW) == grant(device, updates, NOW)


@given(devices, update_lists)
def test_no_device_is_ever_sent_below_what_it_has_installed(device: DeviceFacts, updates: list[UpdateFacts]) -> None:
    decision = grant(device, updates, NOW)
    if isinstance(decision, Grant | Withhold) and device.installed is not None:
        assert compare(decision.update.version, device.installed) >= 0


@given(devices, update_lists)
def test_what_may_be_granted_anew_counts_as_offered(device: DeviceFacts, updates: list[UpdateFacts]) -> None:
    """But for a device that failed at what is newer: it keeps its outcome, and gets what is older."""
    decision = grant(replace(device, updates={}), updates, NOW)
    if isinstance(decision, Grant):
        assert decision.update.version in offered(updates)


@given(devices, update_lists)
def test_what_is_granted_was_built_for_the_device_and_has_no_outcome_yet(
    device: DeviceFacts, updates: list[UpdateFacts]
) -> None:
    decision = grant(device, updates, NOW)
    if isinstance(decision, Grant):
        assert ("trixie", "arm64") in decision.update.targets
        before = device.updates.get(decision.update.id)
        assert before is None or before.status not in FINAL
        assert decision.granted_at == (before.granted_at or NOW if before else NOW)


@given(devices, update_lists)
def test_only_a_device_that_has_started_gets_a_stopped_update_or_one_despite_its_hold(
    device: DeviceFacts, updates: list[UpdateFacts]
) -> None:
    decision = grant(device, updates, NOW)
    if isinstance(decision, Grant) and (device.hold or decision.update.state is not UpdateState.ACTIVE):
        assert device.updates[decision.update.id].status in STARTED


@given(devices, update_lists)
def test_a_grant_once_kept_is_given_again_with_the_same_time(device: DeviceFacts, updates: list[UpdateFacts]) -> None:
    first = grant(device, updates, NOW)
    if not isinstance(first, Grant):
        return
    before = device.updates.get(first.update.id)
    kept = Known(before.status if before else Status.GRANTED, first.granted_at, first.urgency, first.expedited)
    later = replace(device, updates={**device.updates, first.update.id: kept})
    assert grant(later, updates, NOW + timedelta(hours=1)) == first


@given(devices, update_lists)
def test_the_offered_urgency_is_never_weaker_than_the_updates_own(
    device: DeviceFacts, updates: list[UpdateFacts]
) -> None:
    decision = grant(device, updates, NOW)
    if (
        isinstance(decision, Grant)
        and decision.update.urgency is Urgency.URGENT
        and decision.update.version != device.installed
    ):
        assert decision.urgency is Urgency.URGENT


@given(devices, update_lists)
def test_nobody_begins_below_a_release_that_is_not_withdrawn_but_the_first_time(
    device: DeviceFacts, updates: list[UpdateFacts]
) -> None:
    decision = grant(device, updates, NOW)
    if not isinstance(decision, Grant) or (device.installed is None and device.active is None):
        return
    before = device.updates.get(decision.update.id)
    if before is not None and before.status in STARTED:
        return
    newer = [
        update
        for update in updates
        if compare(update.version, decision.update.version) > 0
        and update.state is not UpdateState.WITHDRAWN
        and ("trixie", "arm64") in update.targets
    ]
    assert all(device.updates[update.id].status is Status.SUCCEEDED for update in newer)


@given(devices, update_lists)
def test_only_a_device_in_an_open_wave_or_an_expedited_one_begins(
    device: DeviceFacts, updates: list[UpdateFacts]
) -> None:
    decision = grant(device, updates, NOW)
    if not isinstance(decision, Grant):
        return
    update, before = decision.update, device.updates.get(decision.update.id)
    if before is not None and before.status in STARTED:
        return
    inside = update.reach.includes(update.id, device.id, device.group)
    assert inside or update.expedited or (before is not None and before.expedited)


@given(devices)
def test_without_updates_there_is_nothing(device: DeviceFacts) -> None:
    assert grant(device, [], NOW) == Nothing()
