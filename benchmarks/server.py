"""What the server bears: its heartbeats beside a bare Flask endpoint and gooseBit, on this machine, in one run.

Prints a line ``RESULT name value unit`` for each figure and writes them to ``build/bench/server.json``. The exit status
is 1 where a limit is not kept. The client runs on the same processors as the servers.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.serving import fleet, load, servers
from demo.shell import PROJECT, run

DEVICES = 100_000
FEW, MANY = 1_000, 1_000_000
GOOSEBIT_DEVICES = 1_000
SECONDS = 5
ROUNDS = 3
PER_SECOND = 333
OPEN_SECONDS = 20


def alternate(measures: dict[str, Callable[[int], float]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Each measure in turn, again and again, so that what else goes on on the machine is the same for all."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for measure in measures.values():
        measure(0)  # to warm up
    for number in range(1, rounds + 1):
        for name, measure in measures.items():
            found[name].append(measure(number))
    return found


def heartbeats(server: servers.Server, devices: int) -> Callable[[int], float]:
    """How many a second, in the round given; no device comes again within a run."""
    return lambda number: load.rate(server.port, "heartbeat.lua", devices, number * 17_000, SECONDS if number else 2)


def side_by_side(figures: Figures, folder: Path) -> None:
    """Ours, bare Flask, gooseBit; and ours at the pace of its fleet."""
    state = folder / "ours"
    fleet.make(state, DEVICES)
    with servers.ours(state) as ours, servers.bare(folder) as bare, ExitStack() as stack:
        goosebit = stack.enter_context(servers.goosebit(folder, GOOSEBIT_DEVICES))
        found = alternate({"ours": heartbeats(ours, DEVICES), "bare": heartbeats(bare, DEVICES)})
        memory = ours.peak_memory()
        polls = alternate(
            {
                "ours": heartbeats(ours, DEVICES),
                "goosebit": lambda number: load.rate(goosebit.port, "poll.lua", GOOSEBIT_DEVICES, number * 17, SECONDS),
            },
            rounds=2,
        )
        stack.close()
        taken = open_loop(ours)
        memory = max(memory, ours.peak_memory())
    rates = {"heartbeats": found["ours"], "bare_flask": found["bare"], "goosebit_polls": polls["goosebit"]}
    for name, values in rates.items():
        figures.add(f"{name}_rate", round(statistics.median(values), 1), "per second", beside=_list(values))
    figures.add("heartbeats_of_bare_flask", _ratio(found["ours"], found["bare"]), "ratio", least=0.6)
    figures.add("heartbeats_of_goosebit", _ratio(polls["ours"], polls["goosebit"]), "ratio", least=10)
    for name, share, limit in (("p50", 0.5, None), ("p99", 0.99, 10.0)):
        beside = f"{len(taken)} heartbeats, {PER_SECOND} a second on average, each over a connection of its own"
        figures.add(f"heartbeat_{name}", round(taken[int(len(taken) * share)], 2), "ms", limit=limit, beside=beside)
    figures.add("worker_memory", memory, "MB", limit=80, beside="the most it held, pages that it shares included")


def open_loop(server: servers.Server) -> list[float]:
    """Sorted milliseconds, from a client in a process of its own."""
    words = [str(server.port), str(DEVICES), str(PER_SECOND), str(OPEN_SECONDS)]
    out = run([sys.executable, "-m", "benchmarks.serving.load", *words], cwd=PROJECT)
    return sorted(float(line) for line in out.split())


def few_and_many(figures: Figures, folder: Path) -> None:
    """Whether the number of registered devices matters."""
    for name, devices in (("few", FEW), ("many", MANY), ("anywhere", FEW)):
        fleet.make(folder / name, devices)
    with (
        servers.ours(folder / "few") as few,
        servers.ours(folder / "many") as many,
        servers.ours(folder / "anywhere", one_processor="false") as anywhere,
    ):
        found = alternate(
            {"few": heartbeats(few, FEW), "many": heartbeats(many, MANY), "anywhere": heartbeats(anywhere, FEW)}
        )
        memory = many.peak_memory()
    figures.add(
        "heartbeats_kept_to_one_processor",
        _ratio(found["few"], found["anywhere"]),
        "ratio",
        beside=f"{_list(found['few'])} of {_list(found['anywhere'])} per second on whichever is free",
    )
    figures.add(
        "heartbeats_with_1000000_of_1000_devices",
        _ratio(found["many"], found["few"]),
        "ratio",
        least=0.8,
        beside=f"{_list(found['many'])} of {_list(found['few'])} per second",
    )
    figures.add("worker_memory_with_1000000_devices", memory, "MB", limit=80)


def _ratio(one: list[float], other: list[float]) -> float:
    """The median of the rounds' own ratios."""
    return round(statistics.median(first / second for first, second in zip(one, other, strict=True)), 2)


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def main() -> int:
    """Measure everything; the exit status."""
    figures = Figures()
    cores = os.cpu_count() or 0
    figures.add("processors", cores, "processors", beside="the clients run on them too")
    with tempfile.TemporaryDirectory(prefix="bench-server-") as name:
        side_by_side(figures, Path(name))
        few_and_many(figures, Path(name))
    figures.write(PROJECT / "build" / "bench" / "server.json")
    return figures.status


if __name__ == "__main__":
    sys.exit(main())
