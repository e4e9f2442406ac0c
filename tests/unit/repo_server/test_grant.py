"""The rules of grant, one story each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from repo_server.grant import (
    DeviceFacts,
    Grant,
    Known,
    Nothing,
    Reason,
    UpdateFacts,
    UpdateState,
    Urgency,
    Withhold,
    grant,
)
from repo_server.lifecycle import STARTED, Status
from repo_server.waves import Reach

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(days=2)
SCHEDULED, URGENT = Urgency.SCHEDULED, Urgency.URGENT


def update(
    version: str,
    urgency: Urgency = SCHEDULED,
    state: UpdateState = UpdateState.ACTIVE,
    targets: frozenset[tuple[str, str]] = frozenset({("trixie", "arm64")}),
) -> UpdateFacts:
    return UpdateFacts(f"id of {version}", "sample-assistant", version, urgency, state, targets)


def device(
    installed: str | None, active: str | None = None, hold: str | None = None, **known: tuple[Status, datetime | None]
) -> DeviceFacts:
    """``known`` by version with dots as underscores: ``v1_1_0=(status, granted_at)``."""
    updates = {
        f"id of {name[1:].replace('_', '.')}": Known(status, granted_at, SCHEDULED)
        for name, (status, granted_at) in known.items()
    }
    return DeviceFacts("trixie", "arm64", installed, active if active is not None else installed, hold, updates)


def test_the_highest_update_above_the_installed_version_is_granted_now() -> None:
    decision = grant(device("1.0.0"), [update("1.2.0"), update("1.10.0"), update("1.0.0")], NOW)
    assert decision == Grant(update("1.10.0"), SCHEDULED, NOW)


@pytest.mark.parametrize("installed", ["1.1.0", "1.1.1", "2.0"])
def test_nothing_for_a_device_that_has_the_newest_or_a_newer_one(installed: str) -> None:
    assert grant(device(installed), [update("1.0.0"), update("1.1.0")], NOW) == Nothing()


def test_versions_are_compared_as_dpkg_does() -> None:
    assert grant(device("1.1.0"), [update("1.1.0~rc1")], NOW) == Nothing()
    assert isinstance(grant(device("1.1.0~rc1"), [update("1.1.0")], NOW), Grant)
    assert isinstance(grant(device("1.1.0"), [update("1.1.0+fix1")], NOW), Grant)


def test_a_device_without_any_version_gets_the_highest() -> None:
    assert grant(device(None), [update("1.0.0"), update("1.1.0")], NOW) == Grant(update("1.1.0"), SCHEDULED, NOW)


def test_while_dpkg_unpacks_the_running_version_counts() -> None:
    assert grant(device(None, active="1.1.0"), [update("1.0.0"), update("1.1.0")], NOW) == Nothing()


def test_an_update_that_was_not_built_for_the_target_is_not_offered() -> None:
    other = update("1.2.0", targets=frozenset({("bookworm", "arm64"), ("trixie", "amd64")}))
    assert grant(device("1.0.0"), [other, update("1.1.0")], NOW) == Grant(update("1.1.0"), SCHEDULED, NOW)
    for_all = update("1.2.0", targets=frozenset({("trixie", "all")}))
    assert grant(device("1.0.0"), [for_all], NOW) == Grant(for_all, SCHEDULED, NOW)


def test_the_urgency_of_a_skipped_version_is_not_lost() -> None:
    updates = [update("1.1.0", URGENT), update("1.2.0", SCHEDULED)]
    assert grant(device("1.0.0"), updates, NOW) == Grant(updates[1], URGENT, NOW)
    assert grant(device("1.1.0"), updates, NOW) == Grant(updates[1], SCHEDULED, NOW)


def test_urgencies_above_the_offered_version_do_not_count() -> None:
    updates = [update("1.1.0", SCHEDULED), update("1.2.0", URGENT, UpdateState.WITHDRAWN)]
    assert grant(device("1.0.0"), updates, NOW) == Grant(updates[0], SCHEDULED, NOW)


def test_a_withdrawn_version_lends_no_urgency() -> None:
    updates = [update("1.1.0", URGENT, UpdateState.WITHDRAWN), update("1.2.0")]
    assert grant(device("1.0.0"), updates, NOW) == Grant(updates[1], SCHEDULED, NOW)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (UpdateState.PAUSED, Reason.PAUSED),
        (UpdateState.HALTED, Reason.HALTED),
        (UpdateState.WITHDRAWN, Reason.WITHDRAWN),
    ],
)
def test_a_stopped_update_is_withheld_with_its_state_as_the_reason(state: UpdateState, reason: Reason) -> None:
    stopped = update("1.1.0", state=state)
    assert grant(device("1.0.0"), [stopped], NOW) == Withhold(stopped, reason)


@pytest.mark.parametrize("state", [UpdateState.ACTIVE, UpdateState.PAUSED, UpdateState.HALTED])
def test_a_newer_release_supersedes_an_older_one_whatever_its_state(state: UpdateState) -> None:
    """Also while it waits: who was offered the newer one must not be sent to the older one and back."""
    older, newer = update("1.1.0"), update("1.2.0", state=state)
    decision = grant(device("1.0.0"), [older, newer], NOW)
    assert decision.update == newer  # type: ignore[union-attr]
    assert isinstance(decision, Grant) is (state is UpdateState.ACTIVE)
    waiting = device("1.0.0", v1_1_0=(Status.DOWNLOADED, EARLIER))
    assert grant(waiting, [older, newer], NOW) == decision


def test_a_newer_release_that_a_device_cannot_get_supersedes_all_the_same() -> None:
    newer = replace(update("1.2.0"), reach=Reach(0.0))
    assert grant(device("1.0.0"), [update("1.1.0"), newer], NOW) == Withhold(newer, Reason.NOT_IN_WAVE)
    failed = device("1.0.0", v1_2_0=(Status.FAILED, EARLIER))
    assert grant(failed, [update("1.1.0"), update("1.2.0")], NOW) == Withhold(update("1.2.0"), Reason.FAILED_HERE)


def test_a_withdrawn_release_supersedes_nothing() -> None:
    updates = [update("1.1.0"), update("1.2.0", state=UpdateState.WITHDRAWN)]
    assert grant(device("1.0.0"), updates, NOW) == Grant(updates[0], SCHEDULED, NOW)
    waiting = device("1.0.0", v1_2_0=(Status.DOWNLOADED, EARLIER))
    assert grant(waiting, updates, NOW) == Grant(updates[0], SCHEDULED, NOW)
    assert grant(device("1.1.0"), updates, NOW) == Withhold(updates[1], Reason.WITHDRAWN)


def test_a_release_for_another_target_supersedes_nothing_here() -> None:
    other = update("1.2.0", targets=frozenset({("bookworm", "arm64")}), state=UpdateState.PAUSED)
    assert grant(device("1.0.0"), [update("1.1.0"), other], NOW) == Grant(update("1.1.0"), SCHEDULED, NOW)


@pytest.mark.parametrize("state", [UpdateState.PAUSED, UpdateState.HALTED])
def test_a_device_without_any_version_gets_an_older_release_rather_than_none(state: UpdateState) -> None:
    older, newer = update("1.1.0"), update("1.2.0", state=state)
    assert grant(device(None), [older, newer], NOW) == Grant(older, SCHEDULED, NOW)
    assert grant(device(None), [newer], NOW) == Withhold(newer, Reason(state.upper()))
    waves = [older, replace(update("1.2.0"), reach=Reach(0.0))]
    assert grant(device(None), waves, NOW) == Grant(older, SCHEDULED, NOW)
    # During an unpack nothing is called installed; it is not the first installation.
    assert isinstance(grant(device(None, active="1.0.0"), waves, NOW), Withhold)


def test_a_device_outside_the_open_waves_waits_for_its_own() -> None:
    canary = replace(update("1.1.0"), reach=Reach(0.0, "canary"))
    assert grant(device("1.0.0"), [canary], NOW) == Withhold(canary, Reason.NOT_IN_WAVE)
    assert grant(replace(device("1.0.0"), group="kitchens"), [canary], NOW) == Withhold(canary, Reason.NOT_IN_WAVE)
    assert grant(replace(device("1.0.0"), group="canary"), [canary], NOW) == Grant(canary, SCHEDULED, NOW)


def test_expedited_skips_the_waves_and_nothing_else() -> None:
    expedited = replace(update("1.1.0"), reach=Reach(0.0), expedited=True)
    assert grant(device("1.0.0"), [expedited], NOW) == Grant(expedited, SCHEDULED, NOW, expedited=True)
    for state in (UpdateState.PAUSED, UpdateState.HALTED, UpdateState.WITHDRAWN):
        stopped = replace(expedited, state=state)
        assert grant(device("1.0.0"), [stopped], NOW) == Withhold(stopped, Reason(state.upper()))
    assert grant(device("1.0.0", hold="guests"), [expedited], NOW) == Withhold(expedited, Reason.HELD_BY_ADMIN)
    failed = device("1.0.0", v1_1_0=(Status.FAILED, EARLIER))
    assert grant(failed, [expedited], NOW) == Withhold(expedited, Reason.FAILED_HERE), "it has had its chance"


def test_one_device_can_be_expedited() -> None:
    behind = replace(update("1.1.0"), reach=Reach(0.0))
    known = {"id of 1.1.0": Known(Status.GRANTED, None, SCHEDULED, expedited=True)}
    assert grant(replace(device("1.0.0"), updates=known), [behind], NOW) == Grant(
        behind, SCHEDULED, NOW, expedited=True
    )


def test_a_grant_from_before_it_was_expedited_stays_an_ordinary_one() -> None:
    """Its time says how long the device has waited already."""
    expedited = replace(update("1.1.0"), expedited=True)
    known = device("1.0.0", v1_1_0=(Status.DEFERRED, EARLIER))
    assert grant(known, [expedited], NOW) == Grant(expedited, SCHEDULED, EARLIER)


def test_a_held_device_gets_the_operators_hold_before_any_other_reason() -> None:
    held = device("1.0.0", hold="until the guests have left")
    assert grant(held, [update("1.1.0")], NOW) == Withhold(update("1.1.0"), Reason.HELD_BY_ADMIN)
    paused = update("1.1.0", state=UpdateState.PAUSED)
    assert grant(held, [paused], NOW) == Withhold(paused, Reason.HELD_BY_ADMIN)
    assert grant(held, [update("1.0.0")], NOW) == Nothing()


@pytest.mark.parametrize("outcome", [Status.ROLLED_BACK, Status.FAILED])
def test_a_version_that_failed_here_is_not_offered_here_again(outcome: Status) -> None:
    rolled_back = device("1.2.0", active="1.1.0", v1_2_0=(outcome, EARLIER))
    assert grant(rolled_back, [update("1.2.0"), update("1.1.0")], NOW) == Withhold(update("1.2.0"), Reason.FAILED_HERE)
    assert grant(rolled_back, [update("1.2.0"), update("1.2.1")], NOW) == Grant(update("1.2.1"), SCHEDULED, NOW)


def test_a_failure_before_the_installation_is_final_too() -> None:
    failed = device("1.1.0", v1_2_0=(Status.FAILED, EARLIER))
    assert grant(failed, [update("1.2.0")], NOW) == Withhold(update("1.2.0"), Reason.FAILED_HERE)


def test_a_grant_keeps_its_time() -> None:
    known = device("1.0.0", v1_1_0=(Status.DEFERRED, EARLIER))
    assert grant(known, [update("1.1.0")], NOW) == Grant(update("1.1.0"), SCHEDULED, EARLIER)


def test_a_grant_that_was_taken_back_is_granted_anew() -> None:
    known = device("1.0.0", v1_1_0=(Status.DOWNLOADED, None))
    assert grant(known, [update("1.1.0")], NOW) == Grant(update("1.1.0"), SCHEDULED, NOW)


@pytest.mark.parametrize("status", sorted(STARTED))
def test_a_device_that_has_started_goes_on_whatever_happens(status: Status) -> None:
    started = device("1.0.0", hold="no more", v1_1_0=(status, EARLIER))
    updates = [update("1.1.0", state=UpdateState.HALTED), update("1.2.0")]
    assert grant(started, updates, NOW) == Grant(updates[0], SCHEDULED, EARLIER)


@pytest.mark.parametrize(
    "status", sorted(set(Status) - STARTED - {Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK})
)
def test_a_pause_stops_a_device_that_has_not_started(status: Status) -> None:
    waiting = device("1.0.0", v1_1_0=(status, EARLIER))
    paused = update("1.1.0", state=UpdateState.PAUSED)
    assert grant(waiting, [paused], NOW) == Withhold(paused, Reason.PAUSED)


@pytest.mark.parametrize("active", ["1.0.0", "1.1.0"])
def test_the_offer_stays_until_the_outcome_is_known(active: str) -> None:
    """Installed, waiting for its activation or being verified: the device must not think it was called back."""
    verifying = device("1.1.0", active=active, v1_1_0=(Status.VERIFYING, EARLIER))
    assert grant(verifying, [update("1.1.0")], NOW) == Grant(update("1.1.0"), SCHEDULED, EARLIER)
    waiting = device("1.1.0", active="1.0.0", v1_1_0=(Status.DEFERRED, EARLIER))
    assert grant(waiting, [update("1.1.0")], NOW) == Grant(update("1.1.0"), SCHEDULED, EARLIER)


def test_the_offered_urgency_stays_once_the_skipped_versions_are_below_the_installed_one() -> None:
    known = {"id of 1.2.0": Known(Status.DEFERRED, EARLIER, URGENT)}
    waiting = DeviceFacts("trixie", "arm64", "1.2.0", "1.0.0", None, known)
    updates = [update("1.1.0", URGENT), update("1.2.0")]
    assert grant(waiting, updates, NOW) == Grant(updates[1], URGENT, EARLIER)


def test_a_finished_update_is_never_reopened() -> None:
    """A person went back by hand."""
    assert grant(device("1.0.0", v1_1_0=(Status.SUCCEEDED, EARLIER)), [update("1.1.0")], NOW) == Nothing()
