"""From the snapshot to the outcome without a cut, and what a cut at each of many instants on the way leaves."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from demo.observe import NotObservedError
from demo.vpi.image import Disk
from tests.powercut.losing_disk import Cut
from tests.powercut.payloads import PAYLOADS
from tests.powercut.phases import PHASES
from tests.powercut.rig import Rig, copy_device, copy_server, rig_in

LONGEST_SECONDS = 900.0
_LOOK_SECONDS = 0.01
_LONGEST_WAIT_SECONDS = 20.0
"""For a write: within it ext4 has written what it had."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a cut is meant to fall: in a phase of the update, after a share of its usual length and so many writes."""

    number: int
    payload: str
    phase: str
    share: float
    writes: int
    seed: int

    @property
    def chance(self) -> random.Random:
        """What decides which writes are lost: of this cut alone, in whatever order the rounds are run."""
        return random.Random(f"{self.seed}/{self.number}")


@dataclass(frozen=True, slots=True)
class Fallen:
    """A cut that was made: its folder holds the device and the server as they are then."""

    aim: Aim
    folder: Path
    phase: str
    """The phase that the device was in, by what it has written."""
    status: str
    """The last status that the server has heard of."""
    cut: Cut
    record: list[dict[str, Any]]


def run_up(
    snapshot: Path,
    image: Disk,
    folder: Path,
    *,
    payload: str,
    aims: Sequence[Aim] = (),
    lengths: Mapping[str, float] | None = None,
) -> tuple[list[Fallen], dict[str, float]]:
    """Let the update go its way in ``folder``, and cut at the aims on the way.

    Returns the cuts and how long each phase took. Raises ``NotObservedError`` where the update does not end.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_device(snapshot / payload, folder)
    copy_server(snapshot / "stack", folder / "stack")
    fallen = []
    with rig_in(folder, snapshot, image, PAYLOADS[payload]) as rig:
        rig.stack.start()
        rig.power_on(saved=snapshot / payload / "machine")
        run = _Run(rig)
        try:
            for aim in sorted(aims, key=lambda aim: (PHASES.index(aim.phase), aim.share)):
                run.wait_for(aim.phase)
                run.wait_within(aim.phase, aim.share * (lengths or {}).get(aim.phase, 0.0))
                fallen.append(run.cut(aim, folder.parent / f"cut-{aim.number}"))
            run.wait_for("over")
            rig.server.wait_for(rig.payload.new, {"succeeded"}, 60)
        except NotObservedError:
            print(rig.device.journal(200))
            raise
        entered = rig.phases.entered
    shutil.rmtree(folder)
    known = [phase for phase in PHASES if phase in entered]
    return fallen, {phase: entered[later] - entered[phase] - run.frozen[phase] for phase, later in pairwise(known)}


class _Run:
    """One run, and how long it stood still in each phase."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._deadline = time.monotonic() + LONGEST_SECONDS
        self.frozen = dict.fromkeys(PHASES, 0.0)

    def wait_for(self, phase: str) -> None:
        """Return when the phase has been entered, or passed over. Raises ``NotObservedError``."""
        phases = self._rig.phases
        while phase not in phases.entered and not phases.passed(phase):
            if time.monotonic() > self._deadline:
                raise NotObservedError(f"no {phase} within {LONGEST_SECONDS:.0f} s; seen: {phases.now or 'nothing'}")
            time.sleep(_LOOK_SECONDS)

    def wait_within(self, phase: str, seconds: float) -> None:
        """Return that long after the phase was entered (standing still not counted), or when it is over."""
        phases = self._rig.phases
        while not phases.passed(phase) and time.monotonic() - phases.entered[phase] - self.frozen[phase] < seconds:
            time.sleep(_LOOK_SECONDS)

    def cut(self, aim: Aim, folder: Path) -> Fallen:
        """Cut now."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        phases, given_up_at = self._rig.phases, time.monotonic() + _LONGEST_WAIT_SECONDS
        with self._rig.trap.caught(aim.writes, lambda: phases.passed(aim.phase) or time.monotonic() > given_up_at):
            began = time.monotonic()
            cut, record = self._rig.cut(folder, aim.chance)
        phase = self._rig.phases.now
        self.frozen[phase] += time.monotonic() - began
        return Fallen(aim, folder, phase, record[-1]["status"] if record else "", cut, record)
