"""The daemon is killed with SIGKILL in every state of an update: every update still has one true outcome."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from pi_hook.update import Phase
from tests.e2e.obstacles import metered
from tests.e2e.stories import CRASHES_AT_START, MIGRATES, WELL, Story, Variant

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ON_THE_WAY = [
    *("refreshing", "downloading", "downloaded", "installing", "installed"),
    *("preparing", "activating", "restarting", "verifying"),
]
WAITING = ["granted", "refreshed", "deferred"]
ON_THE_WAY_BACK = ["returning", "rechecking"]


def test_every_state_is_among_them() -> None:
    # Only an assistant that is one ordinary package is installed again; test_classic.py kills the agent there.
    states = {*Phase, "deferred"} - {Phase.REINSTALLING}
    assert {*ON_THE_WAY, *WAITING, *ON_THE_WAY_BACK} == states


def test_killed_in_every_state_of_one_update(urgent: Story) -> None:
    version = release_to_kill(urgent, ON_THE_WAY, MIGRATES)
    assert urgent.killed(len(ON_THE_WAY)) == ON_THE_WAY
    urgent.ended_well(version)


def test_killed_on_the_way_back(urgent: Story) -> None:
    before = urgent.device.running()
    version = release_to_kill(urgent, ON_THE_WAY_BACK, CRASHES_AT_START)
    assert urgent.killed(len(ON_THE_WAY_BACK)) == ON_THE_WAY_BACK
    progress, _ = urgent.went_back(version, before)
    assert "Traceback" in progress["log_tail"]


def test_killed_wherever_it_can_wait(urgent: Story) -> None:
    with ExitStack() as later:
        with metered(urgent):
            with ExitStack() as unpublished:
                with urgent.held_by_operator():
                    version = urgent.release()
                    unpublished.enter_context(urgent.without_published("dists"))
                    urgent.kill_at(version, WAITING)
                assert urgent.killed(1) == WAITING[:1]
            assert urgent.killed(2) == WAITING[:2]
            later.enter_context(urgent.busy())
        assert urgent.killed(3) == WAITING
    urgent.ended_well(version)


@pytest.mark.parametrize("phase", ["downloading", "installing", "restarting"])
def test_killed_once(urgent: Story, phase: str) -> None:
    version = release_to_kill(urgent, [phase], WELL)
    assert urgent.killed(1) == [phase]
    urgent.ended_well(version)


def release_to_kill(story: Story, phases: list[str], how: Variant) -> str:
    """Release a version, and have the killer wait for its phases before it is offered; returns the version."""
    with story.held_by_operator():
        version = story.release(how=how)
        story.kill_at(version, phases)
    return version
