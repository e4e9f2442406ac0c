"""A release that was just started, watched through a service that changes between two looks."""

from __future__ import annotations

from dataclasses import replace

from pi_hook.loop import Loop
from pi_hook.ports import CommandResult, ReleaseCommand, ServiceState
from pi_hook.watcher import Watcher
from tests.support.pi_hook_fakes import FakeClock, FakeRunningCommand, Release, World

LISTENS_AFTER = 8.0


class SlowStart(World):
    """At the first look the launcher is not yet the assistant; that listens only after a while."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock, self._listens_at, self._looks = clock, clock.monotonic + LISTENS_AFTER, 0
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


def test_what_becomes_the_right_process_between_two_looks_is_not_well_before_its_health_command_says_so() -> None:
    clock = FakeClock()
    loop = Loop(lambda: clock.monotonic, clock.wait)
    service = SlowStart(clock)
    verdicts: list[str | None] = []

    def verdict(unwell: str | None) -> None:
        verdicts.append(unwell)
        loop.stop()

    watcher = Watcher(loop, service, 60.0, verdict)
    watcher.begin("1.1.0")
    began = clock.monotonic
    loop.run()
    loop.close()
    assert verdicts == [None], "it had patience with the start"
    assert service.asked_at[0] <= began + 1
    assert clock.monotonic >= began + LISTENS_AFTER + 60
