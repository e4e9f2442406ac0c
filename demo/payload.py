"""Variants of a payload: another assistant of the same code, or a broken one, for showing the way back."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

SWITCH = "SAMPLE_ASSISTANT_CRASH"


def variant(
    payload: Path, folder: Path, *, replace: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Path:
    """Copy a payload, replace texts in its ``release.toml`` and write further files over it; returns the copy.

    Raises ``ValueError`` where a text to replace is not there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(payload, folder, ignore=shutil.ignore_patterns("__pycache__"))
    settings = folder / "release.toml"
    text = settings.read_text(encoding="utf-8")
    for old, new in (replace or {}).items():
        if old not in text:
            raise ValueError(f"{settings} does not hold {old!r}, which this variant of the payload replaces")
        text = text.replace(old, new)
    settings.write_text(text, encoding="utf-8")
    for name, content in (files or {}).items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def crashing_copy(payload: Path, folder: Path) -> Path:
    """Copy a payload and switch on its crash at start; returns the copy."""
    return variant(payload, folder, replace={f'{SWITCH} = "0"': f'{SWITCH} = "1"'})
