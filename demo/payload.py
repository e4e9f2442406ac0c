"""A broken variant of the sample assistant, for showing the way back."""

from __future__ import annotations

import shutil
from pathlib import Path

CRASH = "\n[environment]\n"


def crashing_copy(payload: Path, folder: Path) -> Path:
    """Copy a payload and switch on its crash at start; returns the copy."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(payload, folder, ignore=shutil.ignore_patterns("__pycache__"))
    settings = folder / "release.toml"
    text = settings.read_text(encoding="utf-8")
    if CRASH not in text:
        raise ValueError(f"{settings} has no [environment] to put the switch in")
    settings.write_text(text.replace(CRASH, f'{CRASH}SAMPLE_ASSISTANT_CRASH = "1"\n'), encoding="utf-8")
    return folder
