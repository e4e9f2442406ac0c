"""Boot repair (``pi-hook-recover.service``), without network: dpkg clean, ``current`` naming a complete release."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from pi_hook import manager, repair, verdicts
from pi_hook.files import Root
from pi_hook.ports import ReleaseError, ServiceError
from pi_hook.release_dir import ReleaseDir
from pi_hook.state import read_memory

_log = logging.getLogger(__name__)

_SYSTEMCTL_SECONDS = 30


def recover(root: Root, last_good: str | None = None) -> bool:
    """Put right what an interruption left; quick where nothing is wrong, and safe to run again at any time.

    ``last_good`` is preferred where ``current`` names no complete release. True where all is well afterwards.
    """
    name = repair.assistant_name(root)
    releases = ReleaseDir(name, root) if name else None
    # `current` first: a link is put right at once, and with it the assistant starts while dpkg is being mended.
    pointed = releases is None or _point(releases, last_good, root)
    clean = True
    if repair.needed(root):
        _log.warning("dpkg was interrupted; mending it from the agent's own cache")
        clean = repair.repair(root)
        pointed = pointed or releases is None or _point(releases, last_good, root)
    return clean and pointed


def _point(releases: ReleaseDir, last_good: str | None, root: Root) -> bool:
    if releases.active() is not None:
        return True
    present = releases.versions()
    if not present:
        return True  # nothing was installed yet
    for version in [v for v in [last_good] if v] + present:
        if not releases.complete(version):
            continue
        try:
            releases.activate(version)
        except ReleaseError as error:
            _log.error("%s", error)
            continue
        _log.warning("`current` named no complete release; it names %s now", version)
        _start(releases.name, root)
        return True
    _log.error("no complete release is installed; the next update has to bring one")
    return False


def _start(name: str, root: Root) -> None:
    """Start the assistant, which cannot have started without a release. Not waited for: repair never holds it up.

    An account's systemd that is not up yet starts it by itself.
    """
    unit = f"{name}.service"
    for command in (["reset-failed", unit], ["--no-block", "start", unit]):
        try:
            manager.systemctl(manager.account_of(name, root), *command, seconds=_SYSTEMCTL_SECONDS)
        except ServiceError as error:
            _log.warning("systemctl %s: %s", " ".join(command), error)


def main() -> int:
    """Exit status 0 where all is well, 1 where something is left to mend (the log says what)."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    folder = Path("/var/lib/pi-hook")
    memory = read_memory(folder / "state.json")
    try:
        return 0 if recover(Root(), memory.device.last_good if memory else verdicts.last_good(folder)) else 1
    except OSError as error:
        _log.error("the repair stopped: %s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
