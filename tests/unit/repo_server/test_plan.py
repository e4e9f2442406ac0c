"""Who gets an update when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from repo_server.grant import UpdateState, Urgency
from repo_server.lifecycle import Status
from repo_server.plan import PlannedDevice, PlannedUpdate, State, expected, openings
from repo_server.waves import EVERYONE, Opening, Rollout, Wave, begin
from tests.unit.repo_server.conftest import Service
from tests.unit.repo_server.spreading import CANARY, end, fleet, offered, to_group

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WAVES = (Wave(group="canary", dwell=DAY), Wave(percent=50, dwell=2 * DAY), *EVERYONE)
NEWER = frozenset({("trixie", "arm64"), ("trixie", "amd64")})
BEGUN = Rollout(WAVES, opening=begin(NOON))


def update(rollout: Rollout = BEGUN, state: UpdateState = UpdateState.ACTIVE, **given: Any) -> PlannedUpdate:
    given.setdefault("urgency", Urgency.SCHEDULED)
    return PlannedUpdate(id="update", version="1.1.0", state=state, rollout=rollout, **given)


def device(**given: Any) -> PlannedDevice:
    return PlannedDevice(**{"id": "device", "installed": "1.0.0", "active": "1.0.0", "group": "canary"} | given)


def asked(one: PlannedDevice, about: PlannedUpdate, now: datetime = NOON) -> Any:
    return expected(about, one, openings(about, now), now)


def test_waves_open_one_dwell_time_after_the_other() -> None:
    assert openings(update(), NOON) == [NOON, NOON + DAY, NOON + 3 * DAY]
    second = Rollout(WAVES, opening=Opening((NOON - 2 * DAY, NOON - HOUR), NOON - HOUR))
    assert openings(update(second), NOON) == [NOON - 2 * DAY, NOON - HOUR, NOON - HOUR + 2 * DAY]


def test_one_that_is_overdue_is_expected_now() -> None:
    assert openings(update(), NOON + 5 * DAY) == [NOON, NOON + 5 * DAY, NOON + 7 * DAY]


def test_a_stopped_rollout_is_planned_as_if_it_were_resumed_now() -> None:
    paused = update(Rollout(WAVES), UpdateState.PAUSED)
    assert openings(paused, NOON) == [NOON, NOON + DAY, NOON + 3 * DAY]
    half = update(BEGUN, UpdateState.HALTED, stopped_at=NOON + HOUR)
    assert openings(half, NOON + DAY) == [NOON, NOON + 2 * DAY - HOUR, NOON + 4 * DAY - HOUR]
    found = asked(device(), paused)
    assert (found.state, found.reason, found.earliest_at is not None) == (State.BLOCKED, "PAUSED", True)


def test_nothing_is_promised_of_a_withdrawn_update() -> None:
    gone = update(state=UpdateState.WITHDRAWN)
    assert openings(gone, NOON) == [None, None, None]
    found = asked(device(expedited=True), gone)
    assert (found.state, found.reason, found.opens_at, found.earliest_at) == (State.BLOCKED, "WITHDRAWN", None, None)


def test_expedited_everybody_is_open_now() -> None:
    assert openings(update(Rollout(WAVES, opening=begin(NOON), expedited=True)), NOON + HOUR) == [
        NOON, NOON + HOUR, NOON + HOUR,
    ]  # fmt: skip
    found = asked(device(group=None, expedited=True), update())
    assert (found.state, found.opens_at) == (State.OPEN, NOON)


@pytest.mark.parametrize(
    ("given", "state", "reason"),
    [
        ({"status": Status.SUCCEEDED}, State.DONE, None),
        ({"installed": "1.1.0", "active": "1.1.0"}, State.DONE, None),
        ({"installed": "2.0", "active": "2.0"}, State.DONE, None),
        ({"installed": "1.1.0", "status": Status.DEFERRED}, State.OPEN, None),
        ({"status": Status.INSTALLING, "hold": "guests"}, State.UNDER_WAY, None),
        ({"status": Status.ROLLED_BACK, "installed": "1.1.0"}, State.FAILED, "FAILED_HERE"),
        ({"status": Status.FAILED}, State.FAILED, "FAILED_HERE"),
        ({"hold": "guests"}, State.BLOCKED, "HELD_BY_ADMIN"),
        ({"status": Status.DEFERRED}, State.OPEN, None),
        ({"group": None}, State.WAITING, "NOT_IN_WAVE"),
    ],
)
def test_where_a_device_is(given: dict[str, Any], state: State, reason: str | None) -> None:
    found = asked(device(**given), update())
    assert (found.state, found.reason) == (state, reason)


def test_of_a_superseded_update_only_a_first_installation_is_expected() -> None:
    found = asked(device(target=("trixie", "arm64")), update(superseded_targets=NEWER))
    assert (found.state, found.reason, found.earliest_at) == (State.BLOCKED, "SUPERSEDED", None)
    found = asked(device(installed=None, active=None, target=("trixie", "arm64")), update(superseded_targets=NEWER))
    assert (found.state, found.earliest_at) == (State.OPEN, NOON)
    found = asked(device(target=("bookworm", "arm64")), update(superseded_targets=NEWER))
    assert found.state is State.OPEN, "the newer release was not built for it"


def test_a_scheduled_release_comes_in_the_next_window_of_the_devices_own_zone() -> None:
    berlin = asked(device(timezone="Europe/Berlin"), update())
    opens = datetime(2026, 3, 11, 1, tzinfo=UTC)
    assert opens <= berlin.earliest_at < opens + HOUR
    kolkata = asked(device(timezone="Asia/Kolkata"), update())
    opens = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)
    assert opens <= kolkata.earliest_at < opens + HOUR
    assert (berlin.basis, berlin.likely_at) == ("the window from 02:00 to 04:00 in Europe/Berlin", None)


def test_the_window_is_the_first_after_the_wave_opens() -> None:
    found = asked(device(group=None, timezone="Etc/UTC"), update())
    assert found.opens_at in {NOON + DAY, NOON + 3 * DAY}
    assert found.opens_at < found.earliest_at < found.opens_at + DAY


def test_of_a_zone_that_the_server_does_not_know_no_time_is_said() -> None:
    found = asked(device(timezone="Mars/Olympus"), update())
    assert (found.state, found.earliest_at) == (State.OPEN, None)
    assert "does not know the time zone Mars/Olympus" in found.basis
    urgent = update(urgency=Urgency.URGENT)
    found = asked(device(timezone="Mars/Olympus", idle=HOUR / 2, seen_at=NOON), urgent)
    assert found.earliest_at == NOON + HOUR / 2, "the rule of rest needs no zone"


def urgent(habits: dict[int, float] | None = None, **given: Any) -> Any:
    given = {"idle": timedelta(minutes=20), "seen_at": NOON - timedelta(minutes=5), **given}
    return asked(device(habits=habits or {}, **given), update(urgency=Urgency.URGENT))


def test_an_urgent_one_comes_after_an_hour_without_use() -> None:
    found = urgent()
    assert (found.earliest_at, found.likely_at) == (NOON + timedelta(minutes=35), None)
    assert "last heard of 5 min ago" in found.basis
    assert urgent(idle=3 * HOUR).earliest_at == NOON


def test_habits_say_more_and_are_called_a_guess() -> None:
    found = urgent({12: 0.2, 13: 0.5, 14: 0.9})
    assert (found.earliest_at, found.likely_at) == (NOON + timedelta(minutes=35), NOON + 2 * HOUR)
    assert "a guess" in found.basis
    assert urgent({12: 0.8}).likely_at == NOON + timedelta(minutes=35)
    assert urgent({}).likely_at is None


def test_the_window_comes_first_where_that_is_sooner() -> None:
    found = urgent({11: 0.9}, timezone="Asia/Kolkata")
    assert found.likely_at < NOON + DAY, "the window of the night, not 11 o'clock tomorrow"
    night = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)
    late = asked(
        device(timezone="Asia/Kolkata", idle=timedelta(0), seen_at=night + HOUR),
        update(urgency=Urgency.URGENT),
        night + HOUR,
    )
    assert late.basis == "the window from 02:00 to 04:00 in Asia/Kolkata"


@pytest.mark.parametrize("given", [{"idle": None}, {"seen_at": None}])
def test_without_a_word_on_use_there_is_the_window(given: dict[str, Any]) -> None:
    assert urgent(**given).basis == "the window from 02:00 to 04:00 in Etc/UTC"


def plan(service: Service, which: str, query: str = "") -> Any:
    answer = service.request("GET", f"/api/v1/updates/{which}/plan{query}", key=service.key("viewer"))
    assert answer.status_code == 200, answer.json
    return answer.get_json()


def test_the_plan_is_there_before_the_rollout_begins(service: Service) -> None:
    ids = fleet(service, 6)
    to_group(service, "canary", *ids[:2])
    which = service.announce(rollout={"paused": True, **CANARY})
    found = plan(service, which)
    assert found["assumptions"][0] == "it is paused; as if it were resumed now"
    assert [wave["opens_at"] for wave in found["waves"]] == [
        "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z", "2026-03-29T03:30:00Z",
    ]  # fmt: skip
    assert sum(wave["devices"] for wave in found["waves"]) == 6
    assert [(item["device_id"], item["wave"], item["reason"]) for item in found["items"][:2]] == [
        (ids[0], 1, "PAUSED"), (ids[1], 1, "PAUSED"),
    ]  # fmt: skip
    # Who is in which wave is what happens afterwards.
    service.steer(which, "resume")
    for number, passed in ((1, 0), (2, 1), (3, 1)):
        service.tick(hours=passed)
        assert offered(service, ids) == [item["device_id"] for item in found["items"] if item["wave"] <= number]


def test_the_summary_counts_every_device_of_a_wave(service: Service) -> None:
    ids = fleet(service, 5)
    to_group(service, "canary", *ids[:3])
    which = service.announce(rollout=CANARY)
    offered(service, ids)
    end(service, which, ids[0], "succeeded")
    end(service, which, ids[1], "installing", "failed")
    found = plan(service, which)
    first = found["waves"][0]
    assert (first["devices"], first["states"], first["opened"]) == (3, {"done": 1, "failed": 1, "open": 1}, True)
    for wave in found["waves"]:
        assert sum(wave["states"].values()) == wave["devices"]
    (item,) = [item for item in found["items"] if item["state"] == "open"]
    assert first["first_at"] == first["last_at"] == item["earliest_at"]


def test_the_plan_pages_and_can_be_asked_for_one_wave(service: Service) -> None:
    ids = fleet(service, 7)
    which = service.announce(rollout=CANARY)
    whole = plan(service, which)
    assert ([item["device_id"] for item in whole["items"]], whole["next_cursor"]) == (ids, None)
    first = plan(service, which, "?limit=4")
    rest = plan(service, which, f"?limit=4&cursor={first['next_cursor']}")
    assert first["waves"] == rest["waves"] == whole["waves"]
    assert (len(first["items"]), rest["next_cursor"]) == (4, None)
    assert first["items"] + rest["items"] == whole["items"]
    for number in (1, 2, 3):
        of_wave = plan(service, which, f"?wave={number}")["items"]
        assert of_wave == [item for item in whole["items"] if item["wave"] == number]
    bad = service.request("GET", f"/api/v1/updates/{which}/plan?cursor=§", key=service.key("viewer"))
    assert bad.status_code == 422


def test_habits_are_learnt_from_the_heartbeats_of_a_week(service: Service) -> None:
    (one,) = fleet(service, 1)
    which = service.announce(urgency="urgent")
    for days in range(1, 6):
        for hour in range(24):
            service.now = datetime(2026, 3, 29, 1, 30, tzinfo=UTC) - timedelta(days=days) + timedelta(hours=hour)
            service.beat(device=one, token=one, idle_seconds=7200 if service.now.hour == 5 else 60)
    service.now = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    service.beat(device=one, token=one, idle_seconds=0, timezone="Asia/Kolkata")
    (item,) = plan(service, which)["items"]
    assert (item["earliest_at"], item["likely_at"]) == ("2026-03-29T02:30:00Z", "2026-03-29T05:00:00Z")
    service.now += timedelta(days=30)
    service.beat(device=one, token=one, idle_seconds=0, timezone="Asia/Kolkata")
    assert plan(service, which)["items"][0]["likely_at"] is None, "what is older is no habit any more"
