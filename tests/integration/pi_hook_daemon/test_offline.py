"""Reports reach the server whatever happens to the network: in order, none lost, none twice, and without haste."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_hook.errors import ServerError
from pi_hook.identity import Identity
from pi_hook.wire import Heartbeat, HeartbeatAnswer, Status
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import FakeServer, Release

WEEK = 7 * 24 * 3600.0


class LossyServer(FakeServer):
    """Some answers get lost on the way back: what was sent was taken all the same."""

    lost: tuple[bool, ...] = ()
    sent = 0

    def report(self, identity: Identity, batch: list[Status]) -> int:
        acknowledged = super().report(identity, batch)
        self._maybe_lose()
        return acknowledged

    def heartbeat(self, identity: Identity, heartbeat: Heartbeat) -> HeartbeatAnswer:
        answer = super().heartbeat(identity, heartbeat)
        self._maybe_lose()
        return answer

    def _maybe_lose(self) -> None:
        self.sent += 1
        if self.lost and self.lost[self.sent % len(self.lost)]:
            raise ServerError("the answer was lost")


def made(folder: Path) -> Device:
    device = Device(folder)
    device.server = LossyServer(device.clock)
    device.world.published = {f"1.{n}.0": Release(urgency="urgent", crashes=n % 3 == 2) for n in range(8)}
    return device


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(
    lost=st.lists(st.booleans(), min_size=3, max_size=7).filter(lambda lost: not all(lost)),
    outages=st.lists(st.tuples(st.floats(0.1, 40), st.floats(0.1, 40), st.booleans()), min_size=1, max_size=4),
)
def test_the_server_hears_everything_once_and_in_order(
    lost: list[bool], outages: list[tuple[float, float, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        device = made(Path(folder))
        assert isinstance(device.server, LossyServer)
        device.start()
        device.server.offer("1.0.0", "urgent")
        device.until(device.told("succeeded", "1.0.0"))
        device.server.lost = tuple(lost)
        for number, (before, away, killed) in enumerate(outages, start=1):
            device.server.offer(f"1.{number}.0", "urgent")
            device.run_for(before * 3600)
            device.server.reachable = False
            device.run_for(away * 3600)
            if killed:
                device.kill()
                device.start()
            device.server.reachable = True
        device.until(lambda: device.status()["server"]["unsent"] == 0 and device.status()["update"] is None, hours=96)
        numbers = [status.sequence for status in device.server.statuses]
        assert numbers == sorted(set(numbers)), "in order, none twice (the server's own check would have failed too)"
        ended = [s.version for s in device.server.statuses if s.status in {"succeeded", "rolled_back", "failed"}]
        assert ended == [past["version"] for past in reversed(device.status()["history"])], "every outcome is known"
        device.kill()


def test_three_weeks_without_a_server_keep_the_backlog_small_and_the_line_quiet(tmp_path: Path) -> None:
    device = made(tmp_path)
    device.start()
    device.server.offer("1.0.0", "urgent")
    device.until(device.told("succeeded", "1.0.0"))
    device.server.offer("1.1.0", "urgent")
    device.until(device.told("deferred", "1.1.0"))
    device.server.reachable = False
    calls = device.server.calls
    for _ in range(3 * 7 * 4):
        device.press()
        device.run_for(WEEK / 28)
    asked = device.server.calls - calls
    assert 500 < asked < 3 * WEEK / 1800 + 30, "half an hour on average, at most an hour apart"
    assert device.status()["server"]["unsent"] < 300
    assert "1.1.0" in device.world.installs, "a granted release does not wait for the server for ever"
    device.server.reachable = True
    device.until(lambda: device.status()["server"]["unsent"] == 0, hours=2)
    assert device.server.words("1.1.0")[-1] == "succeeded"
    device.kill()


@pytest.mark.parametrize(("retry_after", "least"), [(None, 5.0), (600.0, 600.0), (7200.0, 7200.0)])
def test_a_server_that_asks_to_be_left_alone_is(tmp_path: Path, retry_after: float | None, least: float) -> None:
    device = made(tmp_path)
    device.start()
    device.until(lambda: device.server.heartbeats)
    times: list[float] = []

    def refuse(identity: Identity, heartbeat: Heartbeat) -> HeartbeatAnswer:
        times.append(device.clock.monotonic)
        raise ServerError("come back later", status=503, retry_after=retry_after)

    device.server.heartbeat = refuse  # type: ignore[method-assign]
    device.run_for(12 * 3600)
    waits = [b - a for a, b in pairwise(times)]
    assert min(waits) >= least
    assert max(waits) <= (retry_after or 0) + 3600
    device.kill()
