"""A release that was just started, watched through a service that changes between two looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pi_hook.loop import Loop
from pi_hook.ports import CommandResult, ReleaseCommand, ServiceState
from pi_hook.watcher import Watcher
from tests.support.pi_hook_fakes import FakeClock, FakeRunningCommand, Release, World


class SlowStart(World):
    """At the first look the launcher is not yet the assistant; that listens only after some seconds."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self._clock, self._listens_at, self._looks = clock, clock.monotonic + seconds, 0
        self.published["1.1.0"] = Release()
        self.current = "1.1.0"
        self._run()
        self.asked_at: list[float] = []

    def state(self) -> ServiceState:
        self._looks += 1
        return super().state() if self._looks > 1 else replace(super().state(), release=None)

    def begin(self, command: ReleaseCommand, version: str) -> FakeRunningCommand | None:
        self.asked_at.append(self._clock.monotonic)
        deaf = self._clock.monotonic < self._listens_at
        return FakeRunningCommand(lambda: CommandResult("connection refused" if deaf else None))


def watched(clock: FakeClock, service: SlowStart, starting_seconds: float) -> str | None:
    """The verdict."""
    loop = Loop(lambda: clock.monotonic, clock.wait)
    verdicts: list[str | None] = []

    def verdict(unwell: str | None) -> None:
        verdicts.append(unwell)
        loop.stop()

    Watcher(loop, service, 60.0, verdict).begin("1.1.0", starting_seconds)
    loop.run()
    loop.close()
    (only,) = verdicts
    return only


def test_what_becomes_the_right_process_between_two_looks_is_not_well_before_its_health_command_says_so() -> None:
    clock = FakeClock()
    service, began = SlowStart(clock, 8), clock.monotonic
    assert watched(clock, service, 30) is None, "it had patience with the start"
    assert service.asked_at[0] <= began + 1
    assert clock.monotonic >= began + 8 + 60


def test_a_release_says_how_long_its_start_may_take() -> None:
    clock = FakeClock()
    assert watched(clock, SlowStart(clock, 45), 60) is None
    began = clock.monotonic
    assert watched(clock, SlowStart(clock, 45), 30) == "connection refused"
    assert clock.monotonic - began == pytest.approx(30, abs=1)
