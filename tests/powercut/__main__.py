"""`make powercut N=20`: cut, look, and say where the cuts fell; exit status 1 where a device was not well."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from demo.shell import PROJECT
from demo.vpi.image import Disk
from tests.powercut.payloads import PIPER, SAMPLE
from tests.powercut.report import line, summary
from tests.powercut.round import Round, see_through
from tests.powercut.run_up import Aim, Fallen, run_up
from tests.powercut.snapshot import prepare

WEIGHTS = {
    "downloaded": 0.05,
    "installing": 0.45,
    "installed": 0.05,
    "activating": 0.15,
    "restarting": 0.15,
    "verifying": 0.15,
}
"""How often a cut is aimed at each phase. The short ones are where the order of writes matters most."""
CUTS_A_RUN = 10
MOST_WRITES = 12
"""A cut falls upon the first to this many writes after its instant, or else the disk would mostly hold none."""
Lengths = dict[str, dict[str, float]]
_P = ParamSpec("_P")
_T = TypeVar("_T")
_ended = False


def main() -> int:
    """Prepare, measure, cut N times, tell."""
    end_in_order()
    arguments = _arguments()
    folder: Path = arguments.state.resolve()
    payloads = [payload for payload, share in ((SAMPLE, 1 - arguments.real), (PIPER, arguments.real)) if share > 0]
    began = time.monotonic()
    image = prepare(folder / "snapshot", payloads, print)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        lengths = _lengths(pool, folder, image, [payload.name for payload in payloads])
        for name, phases in lengths.items():
            print(f"{name}, undisturbed: " + ", ".join(f"{phase} {s:.1f} s" for phase, s in phases.items()))
        drawn = aims(arguments.cuts, arguments.seed, arguments.real)
        print(line(None), flush=True)
        rounds = []
        try:
            for one in _rounds(pool, arguments.jobs, folder, image, drawn=drawn, lengths=lengths):
                rounds.append(one)
                print(line(one), flush=True)
        except KeyboardInterrupt:
            print("ended early; what was done:")
            pool.shutdown(cancel_futures=True)
    print(summary(rounds, arguments.seed, time.monotonic() - began))
    return 0 if len(rounds) == arguments.cuts and not any(one.failures for one in rounds) else 1


def end_in_order() -> None:
    """Have SIGTERM end the run as Ctrl-C does, and with it what the workers have started."""

    def end(_number: int, _frame: FrameType | None) -> None:
        for worker in multiprocessing.active_children():
            assert worker.pid is not None, "it was started"
            os.kill(worker.pid, signal.SIGINT)  # a terminal sends that to all of a group, a TERM comes to us alone
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have come ignored, from a shell that put us aside
    signal.signal(signal.SIGTERM, end)


def unless_ended(work: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T:
    """Do it in a worker, which may have more work before it than is still wanted: none after an interruption."""
    global _ended  # noqa: PLW0603 - of this worker, for its next work
    if _ended:
        raise KeyboardInterrupt
    try:
        return work(*args, **more)
    except KeyboardInterrupt:
        _ended = True
        raise


def aims(count: int, seed: int, real_share: float) -> list[Aim]:
    """The instants of all cuts, drawn from the seed."""
    chance = random.Random(seed)
    drawn = []
    for number in range(1, count + 1):
        real = int(number * real_share) > int((number - 1) * real_share)
        (phase,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        name = (PIPER if real else SAMPLE).name
        drawn.append(Aim(number, name, phase, chance.random(), chance.randint(1, MOST_WRITES), seed))
    return drawn


def _lengths(pool: ProcessPoolExecutor, folder: Path, image: Disk, payloads: list[str]) -> Lengths:
    """How long each phase takes; measured once for a snapshot."""
    note = folder / "snapshot" / "lengths.json"
    if note.exists():
        known: Lengths = json.loads(note.read_text())
        return known
    measured = {
        name: pool.submit(unless_ended, run_up, folder / "snapshot", image, folder / f"measure-{name}", payload=name)
        for name in payloads
    }
    lengths = {name: future.result()[1] for name, future in measured.items()}
    note.write_text(json.dumps(lengths))
    return lengths


def _rounds(
    pool: ProcessPoolExecutor, jobs: int, folder: Path, image: Disk, *, drawn: list[Aim], lengths: Lengths
) -> Iterator[Round]:
    """All rounds, as they are done. A new run is begun when there is nothing else left to do.

    A run that comes to no end fails every cut of it.
    """
    snapshot = folder / "snapshot"
    groups = _groups(drawn)
    runs: dict[Future[tuple[list[Fallen], dict[str, float]]], list[Aim]] = {}
    rounds: set[Future[Round]] = set()
    while groups or runs or rounds:
        while groups and len(runs) + len(rounds) < jobs:
            name, group = groups.pop(0)
            place = folder / f"run-{group[0].number}"
            begun = pool.submit(
                unless_ended, run_up, snapshot, image, place, payload=name, aims=group, lengths=lengths[name]
            )
            runs[begun] = group
        busy: set[Future[Any]] = {*runs, *rounds}
        wait(busy, return_when=FIRST_COMPLETED)
        for run in [run for run in runs if run.done()]:
            group = runs.pop(run)
            if (error := run.exception()) is None:
                cuts = run.result()[0]
                rounds |= {pool.submit(unless_ended, see_through, snapshot, image, fallen) for fallen in cuts}
            else:
                yield from (Round(aim, failures=[f"the run up to the cut: {error}"[:600]]) for aim in group)
        for one in [one for one in rounds if one.done()]:
            rounds.remove(one)
            yield one.result()


def _groups(drawn: list[Aim]) -> list[tuple[str, list[Aim]]]:
    """The cuts of each run; the payloads take turns, so that an early end leaves some of each."""
    groups = []
    for name in dict.fromkeys(aim.payload for aim in drawn):
        of_it = [aim for aim in drawn if aim.payload == name]
        groups += [(at, name, of_it[at : at + CUTS_A_RUN]) for at in range(0, len(of_it), CUTS_A_RUN)]
    return [(name, group) for _, name, group in sorted(groups, key=lambda entry: entry[0])]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1, help="virtual Pis at the same time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=float, default=0.25, help="the share of cuts with the published payload")
    parser.add_argument("--state", type=Path, default=PROJECT / ".pi-ota" / "powercut")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
