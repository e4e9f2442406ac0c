from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pi_hook.files import Root, remove_durably, write_atomic

if TYPE_CHECKING:
    from pathlib import Path


def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_atomic(target, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, "new")
    assert target.read_text() == "old"


def test_a_leftover_of_an_interrupted_write_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half")
    assert write_atomic(tmp_path / "file", "whole", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_remove_durably_tells_whether_there_was_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert remove_durably(tmp_path / "file")
    assert not remove_durably(tmp_path / "file")


def test_root_maps_absolute_paths(tmp_path: Path) -> None:
    assert Root(tmp_path).at("/etc/x") == tmp_path / "etc/x"
