"""Runs in the virtual Pi: kills pi-hook's daemon with SIGKILL each time an update enters one of some phases.

``python3 killer.py VERSION PHASES RECORD``; PHASES are those of ``pi_hook.update``, or ``deferred``, with commas. In
each it kills once. Watching from outside would come too late: some phases last for a few milliseconds. RECORD is a file
with a JSON object a line: the process, and the phase on the disk after its death.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

STATE = Path("/var/lib/pi-hook/state.json")
GROUP = Path("/sys/fs/cgroup/system.slice/pi-hook.service/cgroup.procs")
POLL_SECONDS = 0.001


def phase_of(version: str) -> str | None:
    """The phase of the update at work, where it is one to this version; read from the durable state."""
    update = json.loads(STATE.read_text(encoding="utf-8"))["device"]["update"]
    if update is None or update["offer"]["version"] != version:
        return None
    waits = update["phase"] == "downloaded" and update["deferred_reason"] is not None
    return "deferred" if waits else str(update["phase"])


def daemon() -> int:
    """The daemon's process id: of its group, which also holds what it has started, the one that runs ``daemon``."""
    for pid in GROUP.read_text(encoding="ascii").split():
        if b"daemon" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return int(pid)
    raise SystemExit("the daemon does not run")


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def main() -> None:
    """Wait for a phase, kill, leave the record; until all phases were met."""
    version, phases, record = sys.argv[1:]
    wanted, seen = set(phases.split(",")), 0
    while wanted:
        written = STATE.stat().st_mtime_ns
        if written == seen:
            time.sleep(POLL_SECONDS)
            continue
        seen = written
        phase = phase_of(version)
        if phase not in wanted:
            continue
        wanted.remove(phase)
        pid = daemon()
        os.kill(pid, signal.SIGKILL)
        while alive(pid):
            time.sleep(POLL_SECONDS)
        with Path(record).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"pid": pid, "wanted": phase, "phase": phase_of(version)}) + "\n")


if __name__ == "__main__":
    main()
