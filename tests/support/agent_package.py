"""The real package ``pi-hook`` under another version: what a fleet's next agent is to a device."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def build_agent(version: str, folder: Path) -> Path:
    """Build this checkout's agent as another version, in ``folder`` (made here); returns the .deb."""
    checkout = folder / "checkout"
    for part in ("debian", "pi_hook"):
        shutil.copytree(CHECKOUT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    call_it(version, checkout)
    subprocess.run([str(checkout / "debian/build"), str(folder / "out")], check=True, capture_output=True)
    return next((folder / "out").glob(f"pi-hook_{version}_all.deb"))


def call_it(version: str, checkout: Path) -> None:
    """Make the agent of a checkout another version, in its changelog and in its program."""
    changelog = checkout / "debian/changelog"
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(re.sub(r"^pi-hook \([^)]+\)", f"pi-hook ({version})", text, count=1), encoding="utf-8")
    package = checkout / "pi_hook/__init__.py"
    text = package.read_text(encoding="utf-8")
    package.write_text(re.sub(r'__version__ = "[^"]+"', f'__version__ = "{version}"', text), encoding="utf-8")
