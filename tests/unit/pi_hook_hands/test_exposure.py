"""The units' exposure by systemd's own judgement (0 is locked up, 10 wide open), without booting anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEBIAN = Path(__file__).parents[3] / "debian"
MOST = 4.0


def exposure(file: str, folder: Path) -> float:
    unit = folder / f"copy-of-{file}"
    shutil.copy(DEBIAN / file, unit)  # under a name that no installed unit of this machine has
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


@pytest.mark.parametrize(
    "file", ["pi-hook.service", "pi-hook.pi-hook-refresh.service", "pi-hook.pi-hook-download.service"]
)
def test_what_runs_no_maintainer_scripts_is_held_tightly(file: str, tmp_path: Path) -> None:
    assert exposure(file, tmp_path) <= MOST


def test_the_judgement_would_notice(tmp_path: Path) -> None:
    assert exposure("pi-hook.pi-hook-install.service", tmp_path) > MOST, "this one is not confined, and says why"
