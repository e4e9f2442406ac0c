"""2 AM comes: on a night like any other, on one that has no 2 AM, and on one that has it twice."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.observe import until
from tests.e2e import zones
from tests.e2e.night import MOST_OFFSET, QUIET_SECONDS, share
from tests.e2e.stories import CRASHES_AT_START, SEEN_SECONDS, WELL, Story, Variant, first, in_, when

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

LATE = timedelta(seconds=60)
"""How long after the window's opening an idle device may need to say that it installs."""
NIGHT_SECONDS = 600.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_2_am_and_somebody_is_awake(scheduled: Story, tmp_path: Path) -> None:
    version = downloaded(scheduled)
    night = zones.two_am("Test/Two_AM", soon(scheduled))
    night.set_on(scheduled.pi, tmp_path)
    event = waits_until(scheduled, version, opening(scheduled, night.then, 59 * 60))
    pressed = []

    def recently_used() -> bool:
        pressed.append(datetime.now(UTC))
        scheduled.pi.press_button()
        time.sleep(1)
        return datetime.now(UTC) > night.then and scheduled.gate()["reason"] == "RECENT_ACTIVITY"

    until("2 AM, and RECENT_ACTIVITY", recently_used, NIGHT_SECONDS, scheduled.gate)
    scheduled.deferral(version, "RECENT_ACTIVITY", event["sequence"])
    events = scheduled.ended_well(version)
    began = when(first(events, "installing"))
    assert began >= night.then
    assert began >= whole(pressed[-1]) + timedelta(seconds=QUIET_SECONDS)


def test_no_2_am_and_a_release_that_crashes(scheduled: Story, tmp_path: Path) -> None:
    before = scheduled.device.running()
    version = downloaded(scheduled, CRASHES_AT_START)
    night = zones.gap("Test/Gap", soon(scheduled))
    night.set_on(scheduled.pi, tmp_path)
    # The gap swallows all of the window: it stays open for its length from the end of the gap.
    opens = opening(scheduled, night.then, 59 * 60)
    waits_until(scheduled, version, opens)
    _, events = scheduled.went_back(version, before)
    installed = [event for event in events if event["status"] == "installing"]
    assert len(installed) == 1
    assert whole(opens) <= when(installed[0]) <= opens + LATE
    shown = scheduled.pi.guest.run(f"date --date=@{when(installed[0]).timestamp():.0f} +%H:%M").strip()
    assert shown.startswith("03:0")


def test_2_am_twice(scheduled: Story, tmp_path: Path) -> None:
    version = downloaded(scheduled)
    # Time to install in the first of the two hours, and a minute between the window's end and the second.
    night = zones.repeated_hour("Test/Twice", in_(90 + 2 * scheduled.pace.total_seconds()))
    closes = night.then - timedelta(minutes=1)
    night.set_on(scheduled.pi, tmp_path)
    events = scheduled.ended_well(version)
    assert night.then - HOUR < when(first(events, "installing")) < closes, "in the first of the two hours"

    until("the window's end", lambda: datetime.now(UTC) > closes, NIGHT_SECONDS)
    after = scheduled.release("scheduled")
    event = waits_until(scheduled, after, opening(scheduled, night.then + DAY, 59 * 60))
    until("the second 2 AM", lambda: datetime.now(UTC) > night.then, NIGHT_SECONDS)
    seen = when(scheduled.server.device() or {}, "last_seen_at")
    until("three more heartbeats", lambda: beats(scheduled) - seen > timedelta(seconds=15), SEEN_SECONDS)
    assert scheduled.pi.guest.run("date +%H").strip() == "02"
    gate = scheduled.gate()
    assert gate["reason"] == "OUTSIDE_WINDOW"
    assert same(event["retry_at"], when(gate, "retry_at"))
    assert scheduled.server.events(after)[-1] == event
    assert scheduled.device.running() == version


def soon(story: Story) -> datetime:
    """Late enough for the device to say first that it waits for it."""
    return in_(30 + story.pace.total_seconds())


def downloaded(story: Story, how: Variant = WELL) -> str:
    """A scheduled release that waits for the night, at noon."""
    story.pi.set_zone(zones.noon())
    version = story.release("scheduled", how)
    story.deferred_everywhere(version, "OUTSIDE_WINDOW")
    return version


def opening(story: Story, opens: datetime, seconds: float) -> datetime:
    """When the device may start in a window that opens at ``opens`` and lasts so long, by DESIGN.md's words."""
    part = share(story.id)
    assert part < MOST_OFFSET
    return opens + timedelta(seconds=part * seconds / 2)


def waits_until(story: Story, version: str, instant: datetime) -> dict[str, Any]:
    """The deferral that names this instant as the next try, seen on the device and in the events; returns the event."""

    def look() -> dict[str, Any] | None:
        return next((event for event in story.server.events(version)[::-1] if same(event["retry_at"], instant)), None)

    def on_the_device() -> bool:
        gate = story.gate()
        return gate["retry_at"] is not None and abs(when(gate, "retry_at") - instant) < timedelta(milliseconds=1)

    until(f"retry_at {instant} on the device", on_the_device, NIGHT_SECONDS, story.gate)
    event = until(f"retry_at {instant}", look, NIGHT_SECONDS, lambda: story.server.events(version)[-3:])
    assert event["reason"] == "OUTSIDE_WINDOW"
    return event


def same(told: str | None, instant: datetime) -> bool:
    """Whether the server tells this instant; it keeps whole seconds."""
    return told is not None and datetime.fromisoformat(told) == whole(instant)


def beats(story: Story) -> datetime:
    """The instant of the last heartbeat."""
    return when(story.server.device() or {}, "last_seen_at")


def whole(instant: datetime) -> datetime:
    """In whole seconds, as statuses are."""
    return instant.replace(microsecond=0)
