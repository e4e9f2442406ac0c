"""The package under a real systemd: the daemon lives on through an upgrade, which may run in a unit of the agent's own.

``living_program.py`` runs inside the container, with the system's own Python, and prints what it has seen.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.debian_package.systems import to_boot
from tests.support.apt_root import AptRoot
from tests.support.booted import booted

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = "restarted by an upgrade in the agent's own unit; left alone where disabled; gone with a purge"
_PROGRAM = Path(__file__).with_name("living_program.py")
_SECONDS = 900


def wrong(suite: str, before: Path, now: Path, work: Path) -> Iterator[str]:
    """A sentence for everything that is not as it should be; ``work`` is made here."""
    with AptRoot((to_boot(suite),), work) as device:
        device.run("apt-get", "update")
        debs = [device.copy_in(deb, f"/root/{deb.name}") for deb in (before, now)]
        shutil.copy(_PROGRAM, device.path / "root/program.py")
        device.let_boot()
        with booted(device.path) as system:
            # The system has no Python before the package has brought it.
            install = ["apt-get", "install", "--yes", "--no-install-recommends", debs[0]]
            system.run("env", "DEBIAN_FRONTEND=noninteractive", *install, seconds=_SECONDS)
            said = system.run("python3", "/root/program.py", *debs, seconds=_SECONDS).stdout
    yield from judged(json.loads(said.splitlines()[-1]))


def judged(seen: dict[str, str]) -> Iterator[str]:
    """What the program saw that it should not have seen. Pure."""
    expected = {
        "without settings": "inactive",
        "started": "active",
        "the upgrade's unit": "success 0",
        "daemon after the upgrade": "active, another process, 0 restarts by systemd",
        "version after the upgrade": "the new one",
        "identity after the upgrade": "the same",
        "settings after the upgrade": "the same",
        "disabled, then upgraded": "inactive disabled",
        "disabled but running, then upgraded": "active disabled, another process",
        "stopped, then upgraded": "active enabled",
        "removed": "not running",
        "installed again": "active enabled",
        "identity after all": "the same",
        "purged": "not running, nothing left",
    }
    for what, right in expected.items():
        if seen.get(what) != right:
            yield f"{what}: {seen.get(what, 'not seen')}, and not {right}"
    yield from (f"{what}: {seen[what]}, which nobody expects" for what in seen if what not in expected)
