"""Who needs attention: found in the database, each cause by an index, and ranked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server.attention import RANK, About, Cause, Concern, Found, Item, Patience, Section, rank
from repo_server.store import attention, fleet
from repo_server.store.credentials import Preset
from tests.support.fleet_bodies import BOOT, DEVICE, OTHER_DEVICE, TOKEN, announcement, registration, status
from tests.unit.repo_server.conftest import Service

THEN = datetime(2026, 3, 1, tzinfo=UTC)
OTHER_BOOT = "7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a02"


def concern(cause: Cause, number: int, hours: int | None = 0, update: tuple[str, str] | None = None) -> Concern:
    since = THEN + timedelta(hours=hours) if hours is not None else None
    return Concern(cause, About.DEVICE, f"device-{number}", f"room {number}", since, update)


def found_of(*concerns: Concern, total: int | None = None, or_more: bool = False) -> Found:
    return Found(concerns[0].cause, concerns, total if total is not None else len(concerns), or_more)


def named(sections: list[Section]) -> list[tuple[str, list[str], int]]:
    return [(one.cause, [item.concern.id for item in one.items], one.more) for one in sections]


def test_the_worst_comes_first_and_then_who_waits_longest() -> None:
    lost = found_of(concern(Cause.LOST, 1, 5), concern(Cause.LOST, 2, 1), concern(Cause.LOST, 3, None))
    failed = found_of(concern(Cause.FAILED, 4, 9))
    assert named(rank([lost, failed], each=9, most=9)) == [
        ("failed", ["device-4"], 0), ("lost", ["device-2", "device-1", "device-3"], 0)
    ]  # fmt: skip


def test_a_subject_is_named_once_under_its_worst_with_the_others_beside_it() -> None:
    sections = rank(
        [
            found_of(concern(Cause.REBOOT, 1), concern(Cause.REBOOT, 2)),
            found_of(concern(Cause.FAILED, 1), concern(Cause.FAILED, 1, 3)),
            found_of(concern(Cause.LOST, 1)),
        ],
        each=9,
        most=9,
    )
    assert named(sections) == [("failed", ["device-1"], 1), ("reboot", ["device-2"], 0)]
    assert sections[0].items[0].also == (Cause.LOST, Cause.REBOOT)


def test_a_flood_hides_nothing_and_is_told_as_a_number() -> None:
    flood = found_of(*(concern(Cause.SILENT, number, number) for number in range(20)), total=200, or_more=True)
    sections = rank([flood, found_of(concern(Cause.REBOOT, 99))], each=3, most=9)
    assert named(sections) == [("silent", ["device-0", "device-1", "device-2"], 197), ("reboot", ["device-99"], 0)]
    assert [one.or_more for one in sections] == [True, False]


def test_at_the_end_of_the_list_only_numbers_are_left() -> None:
    causes = [found_of(concern(cause, place, 0)) for place, cause in enumerate(Cause)]
    sections = rank(causes, each=3, most=2)
    assert [len(one.items) for one in sections] == [1, 1] + [0] * (len(Cause) - 2)
    assert [one.more for one in sections] == [0, 0] + [1] * (len(Cause) - 2)


def test_a_section_knows_the_one_update_that_it_is_about() -> None:
    one, other = ("u1", "1.1.0"), ("u2", "1.1.0")
    same = found_of(concern(Cause.FAILED, 1, 0, one), concern(Cause.FAILED, 2, 0, one))
    several = found_of(concern(Cause.SILENT, 3, 0, one), concern(Cause.SILENT, 4, 0, other))
    assert [section.update for section in rank([same, several], each=9, most=9)] == [None, "u1"]


def test_nothing_is_wrong() -> None:
    assert rank([], each=3, most=9) == []
    assert rank([Found(Cause.LOST, (), 0)], each=3, most=9) == []


concerns = st.lists(
    st.builds(concern, st.sampled_from(list(Cause)), st.integers(0, 12), st.none() | st.integers(0, 50)), max_size=40
)


def grouped(given_: list[Concern], hidden: int) -> list[Found]:
    by_cause: dict[Cause, list[Concern]] = {}
    for one in given_:
        if one.id not in {other.id for other in by_cause.get(one.cause, [])}:
            by_cause.setdefault(one.cause, []).append(one)
    return [Found(cause, tuple(each), len(each) + hidden) for cause, each in by_cause.items()]


@given(concerns, st.integers(1, 4), st.integers(0, 20), st.integers(0, 3), st.randoms())
def test_the_rules_hold_for_whatever_is_found(
    given_: list[Concern], each: int, most: int, hidden: int, order: Any
) -> None:
    found = grouped(given_, hidden)
    sections = rank(found, each=each, most=most)
    order.shuffle(found)
    assert rank(found, each=each, most=most) == sections
    assert [RANK[one.cause] for one in sections] == sorted(RANK[one.cause] for one in sections)
    items = [item for one in sections for item in one.items]
    assert len({item.concern.id for item in items}) == len(items) <= most
    for section in sections:
        assert len(section.items) <= each
        assert all(item.concern.cause is section.cause for item in section.items)
    _every_cause_is_whole(found, sections, items)


def _every_cause_is_whole(found: list[Found], sections: list[Section], items: list[Item]) -> None:
    """Nothing is left out of the numbers, and each subject stands under its worst cause."""
    causes = {one.cause: {concern.id for concern in one.concerns} for one in found}
    more = {one.cause: one.more for one in sections}
    for one in found:
        told = sum(one.cause in {item.concern.cause, *item.also} for item in items)
        assert more.get(one.cause, 0) == one.total - told
    for item in items:
        mine = [cause for cause in Cause if item.concern.id in causes.get(cause, ())]
        assert [item.concern.cause, *item.also] == mine


def found(service: Service) -> dict[str, list[tuple[str, str | None]]]:
    """By cause: who, and what else is known."""
    connection = service.db.connection()
    each = attention.found(connection, fleet.summary(connection, service.now), Patience(), service.now)
    return {one.cause: [(concern.id, concern.detail) for concern in one.concerns] for one in each}


@pytest.fixture
def one(service: Service) -> Service:
    """One device with 1.0.0, which is announced."""
    service.register()
    service.announce("1.0.0")
    service.beat()
    return service


def test_a_fleet_that_is_well_needs_nothing(one: Service) -> None:
    assert found(one) == {}


def test_failures_count_on_the_newest_release_alone(one: Service) -> None:
    update = one.announce("1.1.0")
    one.beat()
    one.report(update, status(1, "failed", detail="dpkg exited with 1"))
    assert found(one) == {"failed": [(DEVICE, "dpkg exited with 1")]}
    beta = one.announce("1.9.0", channel="beta")
    assert found(one) == {"failed": [(DEVICE, "dpkg exited with 1")]}
    newer = one.announce("1.10.0")
    assert found(one) == {}
    one.beat()
    one.report(newer, status(2, "rolled_back", version="1.10.0"))
    assert found(one) == {"rolled_back": [(DEVICE, None)]}
    one.steer(newer, "withdraw")
    assert found(one) == {"failed": [(DEVICE, "dpkg exited with 1")]}
    assert beta


def test_a_retired_device_needs_nobody(one: Service) -> None:
    update = one.announce()
    one.beat(reboot_required=True, clock_synchronised=False)
    one.report(update, status(1, "failed"))
    one.now += timedelta(days=8)
    assert set(found(one)) == {"failed", "lost", "clock", "reboot"}
    assert one.request("DELETE", f"/api/v1/devices/{DEVICE}", key=one.key("operator")).status_code == 204
    assert found(one) == {}


def test_who_began_and_is_not_heard_of_or_does_not_get_on(one: Service) -> None:
    one.register(id=OTHER_DEVICE, token="other")
    update = one.announce()
    for device, token in ((DEVICE, TOKEN), (OTHER_DEVICE, "other")):
        one.beat(device=device, token=token)
        one.report(update, status(1, "installing"), device=device, token=token)
    for _ in range(5):
        one.now += timedelta(minutes=30)
        one.beat()
    one.tick()
    assert found(one) == {"no_progress": [(DEVICE, None)], "silent": [(OTHER_DEVICE, None)]}
    one.report(update, status(2, "verifying"), status(3, "succeeded"))
    assert found(one) == {"silent": [(OTHER_DEVICE, None)]}


def test_halted_and_long_paused_rollouts(one: Service) -> None:
    update = one.announce()
    one.steer(update, "pause")
    assert found(one) == {}
    one.now += timedelta(days=1)
    one.beat()
    assert found(one) == {"paused": [(update, None)]}
    one.steer(update, "halt")
    (halted,) = found(one)["halted"]
    assert (halted[0], (halted[1] or "")[:17]) == (update, "halted by key:tes")
    newer = one.announce("1.2.0")  # which goes before it
    assert found(one) == {}
    one.steer(newer, "withdraw")
    assert set(found(one)) == {"halted"}


def test_announced_as_paused_is_no_forgotten_pause(one: Service) -> None:
    body = announcement("1.1.0", rollout={"paused": True})
    assert one.request("POST", "/api/v1/updates/", body, key=one.key("builder")).status_code == 201
    one.now += timedelta(days=9)
    one.beat()
    assert found(one) == {}


def test_devices_that_wait_for_a_person(one: Service) -> None:
    one.register(Preset(approval=True), id=OTHER_DEVICE, token="other")
    again = registration(token="of the new card")
    assert one.request("POST", "/api/v1/devices/", again, token=one.enrollment_token()).status_code == 409
    assert found(one) == {"pending": [(OTHER_DEVICE, None)], "reenrollment": [(DEVICE, None)]}


def test_lost_devices_the_longest_first_and_none_that_waits_for_approval(one: Service) -> None:
    one.now += timedelta(hours=1)
    one.register(id=OTHER_DEVICE, token="other")
    one.register(Preset(approval=True), id="0195e0c8-0000-7000-8000-0000000000d3", token="third")
    one.now += timedelta(days=2)
    assert found(one)["lost"] == [(DEVICE, None), (OTHER_DEVICE, None)]


def test_a_clock_and_a_restart_are_waited_for_a_while(one: Service) -> None:
    one.beat(reboot_required=True, clock_synchronised=False)
    one.now += timedelta(minutes=59)
    one.beat(reboot_required=True, clock_synchronised=False)
    assert found(one) == {}
    one.now += timedelta(minutes=1)
    assert set(found(one)) == {"clock"}
    one.now += timedelta(days=7)
    one.beat(reboot_required=True)
    assert set(found(one)) == {"reboot"}


def test_what_no_time_ends(one: Service) -> None:
    one.beat(gate={"decision": "defer", "reason": "DISK_FULL"})
    assert found(one) == {"blocked": [(DEVICE, "DISK_FULL")]}
    one.beat(gate={"decision": "defer", "reason": "BUSY"})
    assert found(one) == {}


def test_a_clone_is_suspected(one: Service) -> None:
    for number in range(8):
        one.now += timedelta(minutes=5)
        one.beat(boot_id=BOOT if number % 2 else OTHER_BOOT, uptime_seconds=9_000 + 300 * number)
    assert found(one) == {"cloned": [(DEVICE, None)]}


def test_every_cause_is_found_by_an_index(one: Service) -> None:
    """Whatever the size of the fleet: none looks at every device, and none at all progress."""
    for version in ("1.1.0", "1.2.0"):
        update = one.announce(version)
        one.beat()
        one.report(update, status(1, "failed", version=version), status(2, "rolled_back", version=version))
    one.beat(gate={"decision": "defer", "reason": "DISK_FULL"})
    one.now += timedelta(days=9)
    connection, statements = one.db.connection(), list[str]()
    summary = fleet.summary(connection, one.now)
    connection.set_trace_callback(statements.append)
    attention.found(connection, summary, Patience(), one.now)
    connection.set_trace_callback(None)
    selects = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(selects) >= 10
    for statement in selects:
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        # Partial indexes hold few; presence is the narrow table, and counted whole anyhow.
        scans = [line for line in plan if line.startswith("SCAN") and "INDEX devices_" not in line]
        assert set(scans) <= {"SCAN presence", "SCAN p", "SCAN updates"}, plan
        assert not [line for line in plan if "idx_devices_state" in line and "(state=?)" in line] or (
            "'pending'" in statement
        ), plan
