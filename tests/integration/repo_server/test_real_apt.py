"""Debian's own apt with a device's credentials against the real server. Signatures are tested where they are made."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.repo_server.conftest import Fleet, dump
from tests.support.apt_client import AptClient

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")


@pytest.fixture
def published(device: Fleet, tmp_path: Path) -> str:
    """A repository with one package, in a folder of this test's own; returns its name under /repo/."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: sample\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: x\n"
    )
    name = f"test-{device.id}"
    root = device.server.repository / name
    (root / "pool").mkdir(parents=True)
    deb = root / "pool" / "sample_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    record = (tree / "DEBIAN" / "control").read_text()
    record += f"Filename: pool/{deb.name}\nSize: {deb.stat().st_size}\n"
    record += f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n\n"
    forms = {"Packages": record.encode(), "Packages.gz": gzip.compress(record.encode(), mtime=0)}
    index = root / "dists" / "stable" / "main" / "binary-amd64"
    index.mkdir(parents=True)
    listed = ""
    for form, content in forms.items():
        (index / form).write_bytes(content)
        listed += f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/{form}\n"
    release = root / "dists" / "stable" / "Release"
    release.write_text(
        "Origin: test\nSuite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\n"
        f"Date: Sun, 29 Mar 2026 01:30:00 UTC\nSHA256:\n{listed}"
    )
    os.utime(release, (1_790_000_000, 1_790_000_000))  # a file just written is never "not modified"
    return name


def apt(device: Fleet, name: str, root: Path, token: str, *command: str) -> subprocess.CompletedProcess[str]:
    """apt-get on a state folder of its own, knowing only this repository."""
    source = f"deb [trusted=yes arch=amd64] {device.server.url}/repo/{name} stable main"
    return AptClient(root, source, device.server.url, device.id, token).run(*command)


def test_apt_updates_downloads_and_finds_nothing_new(device: Fleet, published: str, tmp_path: Path) -> None:
    first = apt(device, published, tmp_path, device.token, "update", "-eany")
    assert first.returncode == 0, first.stdout + first.stderr
    download = apt(device, published, tmp_path, device.token, "download", "sample")
    assert download.returncode == 0, download.stdout + download.stderr
    got = (tmp_path / "sample_1.0_all.deb").read_bytes()
    assert got == (device.server.repository / published / "pool" / "sample_1.0_all.deb").read_bytes()
    log = device.server.stderr()
    again = apt(device, published, tmp_path, device.token, "update", "-eany")
    assert again.returncode == 0
    lines = device.server.stderr().removeprefix(log).splitlines()
    assert any("/Release 304 " in line for line in lines)
    assert not any("Packages" in line for line in lines)


def test_apt_with_a_wrong_token_gets_nothing(device: Fleet, published: str, tmp_path: Path) -> None:
    before = dump(device.server)
    done = apt(device, published, tmp_path, "wrong", "update", "-eany")
    assert done.returncode != 0
    assert "401" in done.stdout + done.stderr
    assert dump(device.server) == before
