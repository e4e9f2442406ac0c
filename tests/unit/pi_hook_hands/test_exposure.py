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


UNITS = sorted(path.name for path in DEBIAN.glob("pi-hook*.service"))
REASON = "# Not confined: maintainer scripts "


@pytest.mark.parametrize("file", UNITS)
def test_only_what_runs_maintainer_scripts_is_not_held_tightly_and_says_so(file: str, tmp_path: Path) -> None:
    confined = REASON not in (DEBIAN / file).read_text()
    assert (exposure(file, tmp_path) <= MOST) == confined
