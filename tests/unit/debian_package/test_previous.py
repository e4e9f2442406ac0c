"""Which package is upgraded from, in small repositories: with history, without, and with a commit that is given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.debian_package import previous

SIGNED = " -- A <a@example.org>  Mon, 23 Nov 2026 12:00:00 +0000"
ENTRY = f"pi-hook ({{version}}) bookworm; urgency=medium\n\n  * Words.\n\n{SIGNED}\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, *versions: str, program: str = "") -> str:
    """A commit whose changelog has these versions, the newest first."""
    (folder / "debian").mkdir(exist_ok=True)
    (folder / "pi_hook").mkdir(exist_ok=True)
    (folder / "debian/changelog").write_text("\n".join(ENTRY.format(version=version) for version in versions))
    (folder / "pi_hook/__init__.py").write_text(f'__version__ = "{versions[0]}"\n{program}')
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "words")
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[str]]:
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commits = [
        commit(folder, "0.1.0"),
        commit(folder, "0.1.0", program="x = 1\n"),
        commit(folder, "0.2.0", "0.1.0", program="x = 1\n"),
        commit(folder, "0.2.0", "0.1.0", program="x = 2\n"),
    ]
    return folder, commits


def test_the_last_commit_with_a_lower_version(history: tuple[Path, list[str]]) -> None:
    folder, commits = history
    chosen = previous.choose(folder)
    assert (chosen.version, chosen.commit) == ("0.1.0", commits[1])
    previous.unpack(folder, chosen, folder.parent / "source")
    assert (folder.parent / "source/pi_hook/__init__.py").read_text() == '__version__ = "0.1.0"\nx = 1\n'


def test_a_shallow_clone_has_only_itself(history: tuple[Path, list[str]]) -> None:
    folder, _ = history
    clone = folder.parent / "clone"
    git(folder.parent, "clone", "--quiet", "--depth=1", f"file://{folder}", str(clone))
    chosen = previous.choose(clone)
    assert (chosen.version, chosen.commit) == ("0.2.0~previous", "HEAD")
    previous.unpack(clone, chosen, folder.parent / "source")
    text = (folder.parent / "source/debian/changelog").read_text()
    assert previous.version_of(text) == "0.2.0~previous"
    assert (folder.parent / "source/pi_hook/__init__.py").read_text() == '__version__ = "0.2.0~previous"\nx = 2\n'


def test_a_first_version_has_only_itself(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "0.1.0")
    assert previous.choose(tmp_path).version == "0.1.0~previous"


def test_a_commit_that_is_given(history: tuple[Path, list[str]]) -> None:
    folder, commits = history
    assert previous.choose(folder, commits[0]).version == "0.1.0"
    same = previous.choose(folder, commits[2])
    assert (same.version, same.commit) == (f"0.2.0~{commits[2]}", commits[2]), "it has to be lower"


def test_a_commit_that_is_not_there(history: tuple[Path, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"PREVIOUS=nothing is no commit of this clone that has debian/changelog"):
        previous.choose(history[0], "nothing")


def test_a_changelog_of_another_package() -> None:
    with pytest.raises(ValueError, match="not with an entry of pi-hook"):
        previous.version_of("other (1) unstable; urgency=low\n")
