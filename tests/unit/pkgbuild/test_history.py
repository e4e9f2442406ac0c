from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pkgbuild import history, release
from pkgbuild.control import PackageFields, Urgency, changelog
from pkgbuild.errors import PkgbuildError
from pkgbuild.payload import read
from tests.support.aptly import plain_payload


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = plain_payload(tmp_path / "repository/payload")
    git(folder, "init", "-q", "..")
    commit(folder, "First")
    return folder


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "-C", folder, *who, *words], check=True, env=environment, capture_output=True)


def commit(folder: Path, words: str, name: str = "x") -> None:
    (folder / name).write_text(words)
    git(folder, "add", "-A", ".")
    git(folder, "commit", "-qm", words)


def test_changes_are_those_since_the_release_before(repository: Path) -> None:
    assert history.changes(repository) == ()
    git(repository, "tag", "1.0")
    commit(repository, "Louder\n\nand why")
    commit(repository.parent, "Something beside it", "other")
    commit(repository, "Softer")
    assert history.changes(repository) == ("Softer", "Louder")
    git(repository, "tag", "1.1")  # tagged before it is built
    assert history.changes(repository) == ("Softer", "Louder")
    commit(repository, "Faster")
    assert history.changes(repository) == ("Faster",)
    assert history.last_subject(repository) == "Faster"


def test_at_most_thirty_of_them(repository: Path) -> None:
    git(repository, "tag", "1.0")
    for number in range(32):
        commit(repository, f"Change {number}")
    found = history.changes(repository)
    assert len(found) == 30
    assert found[0] == "Change 31"


def test_without_git_there_are_none(tmp_path: Path) -> None:
    folder = plain_payload(tmp_path / "payload")
    assert (history.changes(folder), history.last_subject(folder)) == ((), "")
    with pytest.raises(PkgbuildError, match="The notes are empty"):
        release.describe(read(folder), "1.0", Urgency.URGENT, "")


def test_notes_come_before_what_git_says(repository: Path) -> None:
    git(repository, "tag", "1.0")
    commit(repository, "Louder " + "and louder " * 12)
    described = release.describe(read(repository), "1.1", Urgency.URGENT, "")
    assert described.notes.startswith("Louder and louder")
    described = release.describe(read(repository), "1.1", Urgency.URGENT, "Speaks up")
    assert (described.notes, len(described.changes)) == ("Speaks up", 1)
    fields = PackageFields("kitchen", "1.1", "all", (), "x", "x")
    lines = changelog(fields, "A <a@b.example>", [described.notes, *described.changes], 0).splitlines()
    assert lines[2] == "  * Speaks up"
    assert lines[3].startswith("  * Louder and louder")
    assert lines[4].startswith("    ")
    assert max(map(len, lines)) <= 80
