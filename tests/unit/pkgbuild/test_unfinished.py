"""What a run leaves on the builder's disk: the journal, and its work folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.journal import Change, Entry, Journal, Stage
from pkgbuild.workfolder import work_folder

ENTRY = Entry(
    title="tiny 1.1",
    channel="stable",
    changes=(Change(debian="trixie", snapshot="b", previous="a"),),
    update={"a": [1]},
)


def test_the_journal_remembers_one_entry_until_it_is_cleared(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.read() is None
    journal.write(ENTRY)
    journal.write(ENTRY.at(Stage.SWITCHING))
    assert Journal(tmp_path).read() == ENTRY.at(Stage.SWITCHING)
    journal.clear()
    journal.clear()
    assert journal.read() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"title": "x"}', ENTRY.model_dump_json().encode().replace(b"filling", b"x")]
)
def test_a_journal_that_cannot_be_read_stops_publishing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "publishing.json").write_bytes(content)
    with pytest.raises(PkgbuildError, match="delete the file, and run this again") as caught:
        Journal(tmp_path).read()
    assert caught.value.kind is Kind.PUBLISH_FAILED


def test_a_work_folder_goes_with_its_run_and_takes_those_of_dead_runs_with_it(tmp_path: Path) -> None:
    dead, alive = tmp_path / "release-dead", tmp_path / "release-alive"
    for folder in (dead, alive):
        (folder / "tree").mkdir(parents=True)
    (tmp_path / "a file").write_text("")
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with work_folder(tmp_path, "release-") as own, work_folder(tmp_path, "release-") as other:
            (own / "x").write_text("")
            assert own.is_dir()
            assert other.is_dir()
            assert not dead.exists()
            assert (alive / "tree").is_dir()
    finally:
        os.close(held)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a file", "release-alive"]
