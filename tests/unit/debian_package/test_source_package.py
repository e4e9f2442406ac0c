"""What dpkg-source takes of this tree: the agent, its packaging and its tests, whatever else comes to the tree."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.debian_package import building

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    subprocess.run(["dpkg-source", "--build", str(ROOT)], cwd=folder, check=True, capture_output=True)
    return next(folder.glob("pi-hook_*.tar.xz"))


def test_nothing_but_the_agent_is_in_it(source: Path) -> None:
    """Whoever adds a folder to the tree, or a test of the agent that needs more, names it in debian/source/options."""
    assert building.superfluous(source) == []


def test_all_of_the_agent_is_in_it(source: Path) -> None:
    with tarfile.open(source) as opened:
        names = {member.name.partition("/")[2] for member in opened}
    words = ["git", "ls-files", "debian", "pi_hook", "LICENSE"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    missing = {name for name in listed if (ROOT / name).exists()} - names
    assert missing == {"debian/build"}, "which makes the package from the whole tree"
    assert {"tests/unit/pi_hook/test_policy.py", "debian/tests/control"} <= names


def test_what_does_not_belong_would_be_found(tmp_path: Path) -> None:
    archive = tmp_path / "source.tar.xz"
    with tarfile.open(archive, "w:xz") as opened:
        for name in ("tree/debian/rules", "tree/pi_hook/cli.py", "tree/repo_server/app.py", "tree/docs/ADR.md"):
            opened.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert building.superfluous(archive) == ["repo_server/app.py", "docs/ADR.md"]
