"""The tables that `make powercut` prints: a line for each cut, and where all of them fell."""

from __future__ import annotations

from collections import Counter

from tests.powercut.phases import PHASES
from tests.powercut.round import Round

_FORM = "{:>4}  {:16}  {:22}  {:11}  {:12}  {:>5}  {:>5}  {:>5}  {:12}  {:7}  {:11}  {:>5}  {:>5}  {}"


def line(one: Round | None) -> str:
    """A cut as a line of a table; the table's head for None."""
    if one is None:
        heads = ("cut", "payload", "aimed at", "fell in", "last told", "held", "lost", "torn")
        return _FORM.format(*heads, "mended", "running", "outcome", "boot", "whole", "failures")
    aim = one.aim
    return _FORM.format(
        *(
            aim.number,
            aim.payload,
            f"{aim.phase} {aim.share:.0%} +{aim.writes}",
            one.phase or "-",
            one.status or "-",
            one.held,
            one.lost,
            one.torn,
        ),
        *(one.mended or "-", one.running or "-", one.outcome or "-", f"{one.boot:.0f} s", f"{one.whole:.0f} s"),
        "; ".join(one.failures) or "-",
    )


def summary(rounds: list[Round], seed: int, seconds: float) -> str:
    """Where the cuts fell, what was lost, how it ended."""
    lines = ["", f"{'fell in':12}  {'cuts':>4}  {'writes held':>11}  {'lost':>6}  {'torn':>5}  {'mended':>6}  outcomes"]
    for phase in PHASES:
        there = [one for one in rounds if one.phase == phase]
        if there:
            outcomes = Counter(one.outcome or "none" for one in there)
            held, lost, torn = (sum(getattr(one, name) for one in there) for name in ("held", "lost", "torn"))
            mended = sum(bool(one.mended) for one in there)
            words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
            lines.append(f"{phase:12}  {len(there):>4}  {held:>11}  {lost:>6}  {torn:>5}  {mended:>6}  {words}")
    failed = [one for one in rounds if one.failures]
    took = f"{len(rounds)} cuts with seed {seed} in {seconds / 60:.0f} min"
    lines += ["", f"{took}: {len(rounds) - len(failed)} passed, {len(failed)} failed"]
    lines += [f"  cut {one.aim.number}: {failure}" for one in failed for failure in one.failures]
    return "\n".join(lines)
