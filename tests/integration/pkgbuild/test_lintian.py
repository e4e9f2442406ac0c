"""Packages as Debian wants them: lintian on every kind that the builder makes, and the same bytes wherever it runs.

`make check-packages` does the same with real wheels, for every target, and installs the packages.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pkgbuild import keyring, keys
from tests.support.aptly import ROOT, plain_payload
from tests.support.elf import library

ASSET = '[[assets]]\nname = "voice"\nfolder = "voice"\n'


def written(folder: Path, unit: str) -> Path:
    """A payload with an asset, and with an extension module of ARMv7 that it brings itself."""
    source = plain_payload(folder, f"{unit}-assistant", more=ASSET)
    (source / "voice").mkdir()
    (source / "voice/en.onnx").write_bytes(b"spoken" * 1000)
    (source / "tiny/fast.cpython-313-arm-linux-gnueabihf.so").write_bytes(
        library("armhf", arm_version=10, needed=("libc.so.6",))
    )
    toml = source / "release.toml"
    toml.write_text(f'{toml.read_text()}unit = "{unit}"\n')
    return source


def build(source: Path, output: Path, umask: int = 0o022) -> list[Path]:
    words = ["--src", str(source), "--version", "1.0.0", "--notes", "First", "--target", "trixie/armhf"]
    before = os.umask(umask)
    try:
        subprocess.run(
            [sys.executable, "-m", "pkgbuild", "build", *words, "--output", str(output)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    finally:
        os.umask(before)
    return sorted(output.rglob("*.deb"))


def test_lintian_has_nothing_to_say(tmp_path: Path) -> None:
    debs = [
        deb for unit in ("system", "user") for deb in build(written(tmp_path / unit, unit), tmp_path / f"{unit}-out")
    ]
    home = tmp_path / "k"
    with keys.no_agent_left_behind(home):
        key = keys.create(home, whose="builder")
        content = keyring.Content([key], [key], key, {key.fingerprint: None}, allowed=["vosk"])
        debs.append(keyring.build(content, "1", tmp_path).path)
    assert len(debs) == 7
    words = ["lintian", "--allow-root", "--no-cfg", "--fail-on", "error,warning", *map(str, debs)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", ["system", "user"])
def test_the_same_bytes_in_another_folder_at_another_time_with_another_umask(tmp_path: Path, unit: str) -> None:
    built = []
    for name, umask in (("one", 0o022), ("another/two", 0o077)):
        source = written(tmp_path / name / "payload", unit)
        for path in source.rglob("*"):
            os.utime(path, (1_000_000_000 + umask,) * 2)
        debs = build(source, tmp_path / name / "out", umask)
        built.append({deb.name: hashlib.sha256(deb.read_bytes()).hexdigest() for deb in debs})
    assert len(built[0]) == 3
    assert built[0] == built[1]
