"""Any sequence of kills, power cuts, problems and presses ends in one true outcome, and nothing else is told."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pi_hook.errors import OverrideError
from pi_hook.ports import Problem, ReleaseCommand, ReleaseTerms, Step
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release

OUTCOMES = {"succeeded", "rolled_back", "failed"}
TRANSIENT = [Problem.UNREACHABLE, Problem.NOT_PUBLISHED, Problem.DISK_FULL, Problem.APT_LOCKED, Problem.INTERRUPTED]

problems = st.dictionaries(st.sampled_from(Step), st.lists(st.sampled_from(TRANSIENT), max_size=2), max_size=3)
disturbances = st.lists(
    st.tuples(
        st.sampled_from(["kill", "power cut", "press", "nothing", "server gone", "install now", "go back"]),
        st.integers(1, 40),
    ),
    max_size=8,
)


kinds = st.sampled_from(["good", "crashes", "unhealthy", "misses", "not prepared"])
hooks = st.builds(ReleaseTerms, before_activation=st.booleans(), after_rollback=st.booleans())


@given(problems=problems, disturbances=disturbances, kind=kinds, hooks=st.none() | hooks)
@settings(max_examples=50, deadline=None)
def test_one_true_outcome(
    problems: dict[Step, list[Problem]], disturbances: list[tuple[str, int]], kind: str, hooks: ReleaseTerms | None
) -> None:
    """``hooks``: None for releases that are ordinary packages, which have none and are gone back from with a step."""
    with tempfile.TemporaryDirectory() as folder:
        device = Device(Path(folder))
        device.world.classic = hooks is None
        if hooks is None:
            kind = "good" if kind == "not prepared" else kind
            hooks = ReleaseTerms()
        # A .deb that is gone ends the way back; here it always stays.
        on_the_way_back: list[Problem] = [
            one for one in problems.get(Step.REINSTALL, []) if one is not Problem.NOT_PUBLISHED
        ]
        device.world.published = {
            "1.0.0": Release(problems={Step.REINSTALL: on_the_way_back}),
            "1.1.0": Release(
                "urgent",
                crashes=kind == "crashes",
                health="no" if kind == "unhealthy" else None,
                misses=kind == "misses",
                problems={step: found[:] for step, found in problems.items()},
                terms=replace(hooks, before_activation=True) if kind == "not prepared" else hooks,
                hook_problems={ReleaseCommand.BEFORE_ACTIVATION: "no"} if kind == "not prepared" else {},
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
    elif what == "install now":
        with contextlib.suppress(OverrideError):
            device.daemon.driver.install_now()
    elif what == "go back":
        with contextlib.suppress(OverrideError):
            device.daemon.driver.roll_back("sample-assistant")


def check(device: Device, kind: str) -> None:
    world, server = device.world, device.server
    outcomes = [word for word in server.words("1.1.0") if word in OUTCOMES]
    if outcomes == ["succeeded", "rolled_back"]:  # a person left it again
        assert kind == "good"
        assert "a person asked" in (server.statuses[-1].detail or "")
        outcomes = ["rolled_back"]
    assert len(outcomes) == 1
    if outcomes == ["succeeded"]:
        assert kind == "good"
        assert (world.installed_version, world.active(), world.running) == ("1.1.0", "1.1.0", "1.1.0")
    else:
        assert (world.active(), world.running) == ("1.0.0", "1.0.0")
    if kind in {"crashes", "unhealthy"} and "1.1.0" in world.starts:
        assert outcomes == ["rolled_back"]
    ran = {which for which, version, *_ in world.hooks if version == "1.1.0"}
    if outcomes == ["rolled_back"] and world.published["1.1.0"].terms.after_rollback:
        assert "after_rollback" in ran
    if kind == "not prepared":
        assert "1.1.0" not in world.starts
    if world.published["1.1.0"].terms.before_activation and "1.1.0" in world.starts:
        assert "before_activation" in ran
    assert device.only_legal_moves()
    sequences = [status.sequence for status in server.statuses]
    assert sequences == list(range(1, len(sequences) + 1))
