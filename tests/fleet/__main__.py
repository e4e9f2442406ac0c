"""``python -m tests.fleet``: rehearse a rollout with a simulated fleet, and print what was seen."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.figures import Figures
from tests.fleet.rehearsal import Outcome, Plan, rehearse

_FILE = Path("build/bench/fleet.json")


def main() -> int:
    """The exit status is 0 where the halt came in time and every number added up."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--bad-percent", type=float, default=3.0, help="that the bad release breaks")
    parser.add_argument("--first-percent", type=float, default=5.0, help="of its first wave")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    plan = Plan(
        devices=given.devices,
        bad_percent=given.bad_percent,
        first_percent=given.first_percent,
        limit={"percent": 1, "minimum": 5},
        seed=given.seed,
    )
    with tempfile.TemporaryDirectory(prefix="pi-ota-fleet-") as folder:
        outcome = rehearse(plan, Path(folder))
    return _figures(plan, outcome)


def _figures(plan: Plan, outcome: Outcome) -> int:
    figures = Figures()
    figures.add("fleet_devices", plan.devices, "devices")
    figures.add("fleet_bad_devices", outcome.bad, "devices")
    figures.add("fleet_first_wave", outcome.first_wave, "devices", beside=f"{plan.first_percent} % of the fleet")
    figures.add("fleet_given_the_bad_release", outcome.granted_bad, "devices", limit=outcome.first_wave)
    figures.add("fleet_began_the_bad_release", outcome.began_bad, "devices", limit=outcome.granted_bad)
    figures.add("fleet_failures_at_halt", outcome.failures_at_halt, "devices", beside=outcome.halt_reason)
    figures.add("fleet_finished_at_halt", outcome.finished_at_halt, "devices")
    figures.add("fleet_second_wave_opened", outcome.second_wave_opened, "waves", limit=0)
    figures.add("fleet_dead_seen_as_silent", outcome.dead, "devices")
    figures.add("fleet_reached_by_the_mended_release", outcome.succeeded, "devices")
    figures.add("fleet_samples_that_added_up", outcome.samples, "samples")
    figures.add("fleet_heartbeat_rounds", outcome.rounds, "rounds", beside="half an hour of the server's clock each")
    figures.add("fleet_requests", outcome.requests, "requests")
    figures.add("fleet_seconds", outcome.seconds, "s")
    figures.write(_FILE)
    return figures.status


if __name__ == "__main__":
    raise SystemExit(main())
