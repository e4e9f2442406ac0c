"""Any sequence of kills, power cuts, problems and presses ends in one true outcome, and nothing else is told."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pi_hook.ports import Problem, Step
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release

OUTCOMES = {"succeeded", "rolled_back", "failed"}
TRANSIENT = [Problem.UNREACHABLE, Problem.NOT_PUBLISHED, Problem.DISK_FULL, Problem.APT_LOCKED, Problem.INTERRUPTED]

problems = st.dictionaries(st.sampled_from(Step), st.lists(st.sampled_from(TRANSIENT), max_size=2), max_size=3)
disturbances = st.lists(
    st.tuples(st.sampled_from(["kill", "power cut", "press", "nothing", "server gone"]), st.integers(1, 40)), max_size=8
)


@given(problems=problems, disturbances=disturbances, kind=st.sampled_from(["good", "crashes", "unhealthy", "misses"]))
@settings(max_examples=40, deadline=None)
def test_one_true_outcome(problems: dict[Step, list[Problem]], disturbances: list[tuple[str, int]], kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        device = Device(Path(folder))
        device.world.published = {
            "1.0.0": Release(),
            "1.1.0": Release(
                "urgent",
                crashes=kind == "crashes",
                health="no" if kind == "unhealthy" else None,
                misses=kind == "misses",
                problems=problems,
            ),
        }
        device.start()
        device.server.offer("1.0.0", "scheduled")
        device.until(device.told("succeeded", "1.0.0"))
        device.run_for(3600)
        device.server.offer("1.1.0", "urgent")
        for what, rounds in disturbances:
            disturb(device, what, rounds)
        device.server.reachable = True
        device.until(lambda: OUTCOMES & set(device.server.words("1.1.0")), hours=24 * 9)
        device.run_for(4 * 3600)
        check(device, kind)
        device.kill()


def disturb(device: Device, what: str, rounds: int) -> None:
    """Let the loop turn some rounds, then do it."""
    assert device.daemon is not None
    for _ in range(rounds):
        device.daemon.loop.run_once()
    if what in {"kill", "power cut"}:
        (device.power_cut if what == "power cut" else device.kill)()
        device.start()
    elif what == "press":
        device.press()
    elif what == "server gone":
        device.server.reachable = not device.server.reachable


def check(device: Device, kind: str) -> None:
    world, server = device.world, device.server
    outcomes = [word for word in server.words("1.1.0") if word in OUTCOMES]
    assert len(outcomes) == 1
    if outcomes == ["succeeded"]:
        assert kind == "good"
        assert (world.installed_version, world.active(), world.running) == ("1.1.0", "1.1.0", "1.1.0")
    else:
        assert (world.active(), world.running) == ("1.0.0", "1.0.0")
    if kind in {"crashes", "unhealthy"} and "1.1.0" in world.starts:
        assert outcomes == ["rolled_back"]
    sequences = [status.sequence for status in server.statuses]
    assert sequences == list(range(1, len(sequences) + 1))
