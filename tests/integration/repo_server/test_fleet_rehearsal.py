"""A small simulated fleet through a bad release and the one that mends it; ``make fleet`` has 10,000 devices."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.devices import Fate, fleet
from tests.fleet.rehearsal import Plan, rehearse


def test_a_bad_release_is_halted_before_its_second_wave_and_every_sample_adds_up(tmp_path: Path) -> None:
    plan = Plan(devices=120, bad_percent=20, first_percent=50, limit={"percent": 5, "minimum": 3})
    outcome = rehearse(plan, tmp_path)
    assert outcome.bad == 24
    assert (outcome.second_wave_opened, outcome.plan_matched) == (0, outcome.granted_bad)
    assert 3 <= outcome.failures_at_halt <= outcome.finished_at_halt
    assert outcome.granted_bad <= outcome.first_wave < plan.devices
    assert outcome.succeeded == plan.devices - outcome.dead
    assert outcome.samples == 2 * outcome.rounds


def test_the_fleet_is_the_same_for_the_same_seed() -> None:
    first, again, other = (fleet(300, 3, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert sum(device.fate is not Fate.WELL for device in first) == 9
    assert len({device.id for device in first}) == 300
