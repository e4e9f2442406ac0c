"""An update waits while the world is disturbed: clocks stepped, zones changed, daemons restarted, boots without a time.

Whatever happens, it installs once, and only when the rules allow it by the true time: the server's, which is the only
one that stays right in these stories.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_hook.ports import Request, Step
from pi_hook.zone import NamedZone
from tests.integration.pi_hook_daemon.story import Device
from tests.support.campaign import CAMPAIGN
from tests.support.pi_hook_fakes import START, FakeClock, FakeRunningStep, Release

HOUR = 3600.0
YEAR = 365 * 24 * HOUR
STEPS = [-3 * YEAR, -40 * 24 * HOUR, -25 * HOUR, -HOUR, -1800.0, 1800.0, HOUR, 25 * HOUR, 40 * 24 * HOUR, 3 * YEAR]
NAMES = ["Europe/Berlin", "Asia/Tokyo", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham", "America/St_Johns"]
QUIET, IDLE_REQUIRED = timedelta(minutes=10), timedelta(hours=1)


@dataclass
class TrueTime:
    """What the server's clock shows: it goes on evenly, whatever is done to the device's."""

    wall: datetime = START


@dataclass
class ShiftingClock(FakeClock):
    """A device's clock that may be set, beside the true time."""

    truth: TrueTime = field(default_factory=TrueTime)
    used_at: float = 0.0
    """By the monotonic clock."""

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.truth.wall += timedelta(seconds=seconds)


class Story:
    """A device with 1.0.0, an update of a given urgency on offer, and a note of when it was installed."""

    def __init__(self, folder: Path, urgency: str, starts: float) -> None:
        clock = ShiftingClock()
        clock.advance(starts)
        self.clock = clock
        self.device = Device(folder, clock=clock)
        self.device.server.clock = clock.truth  # type: ignore[assignment]  # it asks for the wall time alone
        self.device.world.published = {"1.0.0": Release(), "1.1.0": Release(urgency=urgency)}
        self.device.start()
        self.device.server.offer("1.0.0", "scheduled")
        self.device.until(self.device.told("succeeded", "1.0.0"))
        self.urgency = urgency
        self.allowed: list[str | None] = []
        self._start = self.device.world.start
        self.device.world.start = self._starting  # type: ignore[method-assign]  # notes first
        self.device.server.offer("1.1.0", urgency)

    def _starting(self, step: Step, request: Request) -> FakeRunningStep:
        """Somebody may come when it has begun; that is asked again before the restart."""
        if step is Step.INSTALL:
            self._installing()
        return self._start(step, request)

    def _installing(self) -> None:
        """Why the rules allow it at this instant of the true time; None where they do not."""
        device = self.device
        assert device.daemon is not None
        local = self.clock.truth.wall.astimezone(ZoneInfo(device.zone.name))
        idle = timedelta(seconds=self.clock.monotonic - self.clock.used_at)
        reason = None
        if 2 <= local.hour < 4 and idle >= QUIET:
            reason = "night"
        elif self.urgency == "urgent" and idle >= IDLE_REQUIRED:
            reason = "idle"
        self.allowed.append(reason)

    @property
    def done(self) -> bool:
        return "succeeded" in self.device.server.words("1.1.0")

    def wait(self, hours: float) -> None:
        """Let time pass, unless the update is done before."""
        end = self.clock.monotonic + hours * HOUR
        self.device.until(lambda: self.clock.monotonic >= end or self.done)

    # What may happen

    def set_clock(self, seconds: float) -> None:
        """Somebody sets it; the kernel knows then that nobody disciplines it."""
        self.clock.wall += timedelta(seconds=seconds)
        self.clock.synchronised = False

    def synchronise(self, _: float) -> None:
        self.clock.wall, self.clock.synchronised = self.clock.truth.wall, True

    def move(self, which: float) -> None:
        name = NAMES[int(which) % len(NAMES)]
        self.device.zone = NamedZone(name, ZoneInfo(name))

    def restart(self, _: float) -> None:
        self.device.kill()
        self.device.start()

    def boot_without_time(self, wrong: float) -> None:
        """A Pi has no clock of its own: it wakes up in the past, and nobody tells it better but the server."""
        self.device.power_cut()
        self.clock.used_at = 0.0
        self.clock.wall = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=abs(wrong))
        self.clock.synchronised = False
        self.device.start()

    def use(self, _: float) -> None:
        self.device.press()
        self.clock.used_at = self.clock.monotonic

    def lose_the_server(self, _: float) -> None:
        self.device.server.reachable = not self.device.server.reachable


EVENTS: list[Callable[[Story, float], None]] = [
    Story.set_clock,
    Story.synchronise,
    Story.move,
    Story.restart,
    Story.boot_without_time,
    Story.use,
    Story.lose_the_server,
]
disturbances = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from(STEPS), st.floats(0.01, 9.0)), min_size=1, max_size=8
)


@pytest.mark.parametrize("urgency", ["scheduled", "urgent"])
@settings(
    max_examples=300 if CAMPAIGN else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(events=disturbances, starts=st.floats(0, 24 * HOUR))
def test_it_installs_once_and_never_outside_the_rules(
    urgency: str, events: list[tuple[Callable[[Story, float], None], float, float]], starts: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), urgency, starts)
        device = story.device
        for event, value, hours in events:
            event(story, value)
            story.wait(hours)
        device.server.reachable = True
        device.until(lambda: story.done, hours=72)
        device.kill()
        assert device.world.installs == ["1.0.0", "1.1.0"]
        assert story.allowed in (["night"], ["idle"]), "it was installed outside the rules"


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Story]:
    """A scheduled update on offer at noon; the night of Berlin is 13 hours away."""
    story = Story(tmp_path, "scheduled", 0)
    story.device.until(story.device.told("deferred", "1.1.0"))
    yield story
    story.device.kill()


def retry_at(story: Story) -> datetime:
    return datetime.fromisoformat(story.device.status()["gate"]["retry_at"])


@pytest.mark.parametrize("step", [-3 * YEAR, -6 * HOUR, 6 * HOUR, 3 * YEAR])
def test_a_clock_that_is_set_by_hand_is_not_gone_by(waiting: Story, step: float) -> None:
    due = retry_at(waiting)
    waiting.set_clock(step)
    waiting.device.run_for(900)
    assert abs(retry_at(waiting) - due) < timedelta(seconds=5), "the server's time goes on"
    waiting.device.until(lambda: waiting.done, hours=24)
    assert waiting.allowed == ["night"]


@pytest.mark.parametrize("step", [-6 * HOUR, 6 * HOUR])
def test_a_clock_that_ntp_puts_right_counts_at_the_next_look(waiting: Story, step: float) -> None:
    """What NTP says is the truth: the promise moves with it, within the five minutes between two looks."""
    waiting.clock.wall += timedelta(seconds=step)
    waiting.clock.truth.wall += timedelta(seconds=step)
    waiting.device.run_for(301)
    night = retry_at(waiting).astimezone(ZoneInfo("Europe/Berlin"))
    assert (night.hour, night.day) == (2, 11)
    waiting.device.until(lambda: waiting.done, hours=24)
    assert waiting.allowed == ["night"]


def test_a_zone_that_changes_counts_at_the_next_look(waiting: Story) -> None:
    waiting.device.zone = NamedZone("Asia/Tokyo", ZoneInfo("Asia/Tokyo"))
    waiting.device.run_for(301)
    assert retry_at(waiting).astimezone(ZoneInfo("Asia/Tokyo")).hour == 2
    waiting.device.until(lambda: waiting.done, hours=24)
    assert waiting.allowed == ["night"]


def test_a_restart_in_the_middle_of_a_wait_keeps_the_promise_and_the_use(waiting: Story) -> None:
    waiting.use(0)
    waiting.device.run_for(1800)
    due, idle = retry_at(waiting), waiting.device.status()["idle_seconds"]
    waiting.restart(0)
    assert abs(waiting.device.status()["idle_seconds"] - idle) <= 10
    waiting.device.run_for(10)
    assert retry_at(waiting) == due, "once the server has confirmed the grant, which takes a moment"


def test_a_boot_without_any_time_waits_for_one_and_says_so(waiting: Story) -> None:
    waiting.device.server.reachable = False
    waiting.boot_without_time(0)
    waiting.device.run_for(600)
    gate = waiting.device.status()["gate"]
    assert (gate["reason"], gate["retry_at"]) == ("CLOCK_UNSYNCED", None)
    waiting.device.server.reachable = True
    waiting.device.until(lambda: waiting.done, hours=48)
    assert waiting.allowed == ["night"]
