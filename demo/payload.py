"""A broken variant of the sample assistant, for showing the way back."""

from __future__ import annotations

import shutil
from pathlib import Path

SWITCH = "SAMPLE_ASSISTANT_CRASH"


def crashing_copy(payload: Path, folder: Path) -> Path:
    """Copy a payload and switch on its crash at start; returns the copy."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(payload, folder, ignore=shutil.ignore_patterns("__pycache__"))
    settings = folder / "release.toml"
    text = settings.read_text(encoding="utf-8")
    if f'{SWITCH} = "0"' not in text:
        raise ValueError(f"{settings} does not set {SWITCH}, the switch that makes the payload crash")
    settings.write_text(text.replace(f'{SWITCH} = "0"', f'{SWITCH} = "1"'), encoding="utf-8")
    return folder
