"""After a cut: the device is booted on what its disk has kept, and seen to the outcome of its update."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demo.observe import until
from demo.vpi.channel import ChannelError
from demo.vpi.guest import GuestError
from demo.vpi.image import Disk
from tests.powercut import checks
from tests.powercut.payloads import PAYLOADS
from tests.powercut.rig import Rig, copy_device, copy_server, rig_in
from tests.powercut.run_up import Aim, Fallen

ALIVE_SECONDS = 180.0
REPAIR_SECONDS = 400.0
OUTCOME_SECONDS = 600.0
OUTBOX_SECONDS = 120.0
_PAUSE_SECONDS = 2.0
"""Between two questions to the guest, each of which keeps its emulated processor from its own work for a while."""


@dataclass(slots=True)
class Round:
    """What came of one cut; times are in seconds."""

    aim: Aim
    phase: str = ""
    status: str = ""
    held: int = 0
    lost: int = 0
    torn: int = 0
    mended: str = ""
    running: str = ""
    """The version that ran after the boot."""
    outcome: str = ""
    boot: float = 0.0
    """Until the assistant answered, from the switching on."""
    whole: float = 0.0
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def see_through(snapshot: Path, image: Disk, fallen: Fallen) -> Round:
    """Boot a copy of the device of a cut and check it; all that goes wrong is in the answer, none of it is raised.

    The cut's folder is removed where all is well.
    """
    folder = fallen.folder.with_name(f"boot-{fallen.aim.number}")
    cut = fallen.cut
    result = Round(fallen.aim, fallen.phase, fallen.status, cut.held, cut.dropped, cut.torn)
    began = time.monotonic()
    try:
        shutil.rmtree(folder, ignore_errors=True)
        copy_device(fallen.folder, folder)
        copy_server(fallen.folder / "stack", folder / "stack")
        with rig_in(folder, snapshot, image, PAYLOADS[fallen.aim.payload]) as rig, _told(rig, result, fallen):
            _come_back(rig, result)
            _end_truly(rig, fallen.record, result)
    except Exception as error:  # noqa: BLE001 -- whatever it was, this cut has not passed, and the others go on
        result.failures.append(f"{type(error).__name__}: {' '.join(str(error).split())[:600]}")
    result.whole = time.monotonic() - began
    shutil.rmtree(folder, ignore_errors=True)
    if not result.failures:
        shutil.rmtree(fallen.folder)
    return result


@contextmanager
def _told(rig: Rig, result: Round, fallen: Fallen) -> Iterator[None]:
    """Keep the journals of a round that failed, beside its folder."""
    ended = False
    try:
        yield
        ended = True
    finally:
        if result.failures or not ended:
            with suppress(GuestError, ChannelError, OSError):
                journal = rig.pi.guest.run("journalctl --no-pager --output=short-precise -n 3000")
                fallen.folder.with_suffix(".journal").write_text(journal)
            with suppress(OSError, KeyError):
                events = rig.server.events(rig.payload.new)
                fallen.folder.with_suffix(".events").write_text(json.dumps(events, indent=1))


def _come_back(rig: Rig, result: Round) -> None:
    """The assistant answers, and the repair is done; every other time without a server, with the disk alone."""
    alone = result.aim.number % 2 == 0
    if not alone:
        rig.stack.start()
    began = time.monotonic()
    rig.power_on()
    result.running = until(
        "an answering assistant", rig.answered_version, ALIVE_SECONDS, rig.device.journal, pause=_PAUSE_SECONDS
    )
    result.boot = time.monotonic() - began
    until("the repair's end", lambda: not _repairing(rig), REPAIR_SECONDS, pause=_PAUSE_SECONDS)
    result.mended = checks.mended(rig)
    checks.guarded("after the boot", result.failures, checks.alive, rig)
    checks.guarded("after the boot", result.failures, checks.clean, rig)
    if alone:
        rig.stack.start()


def _repairing(rig: Rig) -> bool:
    """Whether boot repair is at work or still to come."""
    unit = "pi-hook-recover.service"
    state = rig.pi.guest.try_run(f"systemctl is-active {unit}").out.strip()
    return state not in {"inactive", "failed"} or unit in rig.pi.guest.run("systemctl list-jobs --no-legend")


def _end_truly(rig: Rig, before: list[dict[str, Any]], result: Round) -> None:
    """The update ends in one true outcome at the server, and the device is well."""
    progress = rig.server.wait_for(rig.payload.new, set(checks.FINAL), OUTCOME_SECONDS)
    result.outcome = progress["status"]
    until("an empty outbox", lambda: rig.unsent() == 0, OUTBOX_SECONDS, pause=_PAUSE_SECONDS)
    checks.guarded("at the end", result.failures, checks.true_outcome, rig, result.outcome)
    checks.guarded("at the end", result.failures, checks.alive, rig)
    checks.guarded("at the end", result.failures, checks.clean, rig)
    checks.guarded("at the end", result.failures, checks.quiet, rig)
    result.failures += checks.one_true_story(before, rig.server.events(rig.payload.new))
