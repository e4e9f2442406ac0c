"""Which files of the published folder are served, and how long they may be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from repo_server import archive


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "public"
    dist = root / "trixie" / "dists" / "stable"
    (dist / "by-hash").mkdir(parents=True)
    (dist / "InRelease").write_text("signed")
    (dist / "by-hash" / "aa").write_text("packages")
    (dist / "Packages").symlink_to("by-hash/aa")
    (dist / "absolute").symlink_to(dist / "by-hash" / "aa")
    (dist / "out").symlink_to("../../../../secret")
    (dist / "out-absolute").symlink_to(tmp_path / "secret")
    (dist / "parent").symlink_to(tmp_path)
    (dist / "loop").symlink_to("loop")
    (dist / "dangling").symlink_to("nothing")
    (tmp_path / "public-too").mkdir()
    (tmp_path / "public-too" / "file").write_text("another folder whose name begins alike")
    (dist / "alike").symlink_to(tmp_path / "public-too" / "file")
    return root


@pytest.mark.parametrize("name", ["InRelease", "Packages", "absolute", "by-hash/aa"])
def test_files_and_symlinks_inside_the_folder_are_found(root: Path, name: str) -> None:
    found = archive.find(root, f"trixie/dists/stable/{name}")
    assert found is not None
    assert found.read_text() in {"signed", "packages"}


@pytest.mark.parametrize(
    "name", ["out", "out-absolute", "parent/secret", "alike", "loop", "dangling", "by-hash", "none"]
)
def test_what_leads_outside_or_is_no_file_is_not_there(root: Path, name: str) -> None:
    assert archive.find(root, f"trixie/dists/stable/{name}") is None


@pytest.mark.parametrize(
    "name",
    ["../secret", "trixie/../trixie/dists/stable/InRelease", "trixie/../../secret", "/etc/passwd",
     "trixie//dists", "./trixie", "", "..", "a\0b", "..\\secret",
     "trixie/dists/stable/InRelease/", "trixie/dists/stable/InRelease/x", "x" * 5000],
)  # fmt: skip
def test_names_that_try_to_leave_are_not_there(root: Path, name: str) -> None:
    assert archive.find(root, name) is None


def test_a_folder_that_is_not_there_yet_has_no_files(tmp_path: Path) -> None:
    assert archive.find(tmp_path / "nothing", "x") is None


def test_the_served_folder_may_itself_be_a_symlink(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert archive.find(tmp_path / "link", "trixie/dists/stable/InRelease") is not None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trixie/dists/stable/InRelease", "no-store"),
        ("trixie/dists/stable/Release.gpg", "no-store"),
        ("trixie/dists/stable/main/binary-arm64/Packages.gz", "private, no-cache"),
        ("trixie/dists/stable/main/binary-arm64/by-hash/SHA256/00", "private, max-age=31536000, immutable"),
        ("trixie/pool/main/s/sample/sample_1_arm64.deb", "private, max-age=31536000, immutable"),
    ],
)
def test_what_is_signed_anew_is_never_kept_and_what_is_named_by_its_content_is(name: str, expected: str) -> None:
    assert archive.cache_control(name) == expected


@pytest.mark.parametrize(
    ("name", "age_seconds", "expected"),
    [
        ("trixie/dists/stable/InRelease", 0.2, True),
        ("trixie/dists/stable/InRelease", 1.9, True),
        ("trixie/dists/stable/InRelease", 2, False),
        ("trixie/dists/stable/main/binary-arm64/Packages.gz", 0, True),
        ("trixie/dists/stable/InRelease", -5, True),
        ("trixie/pool/main/s/sample/sample_1_arm64.deb", 0, False),
        ("trixie/dists/stable/main/binary-arm64/by-hash/SHA256/00", 0, False),
    ],
)
def test_a_file_that_may_change_within_its_second_is_unsettled(name: str, age_seconds: float, expected: bool) -> None:
    modified = 1_790_000_000.0
    assert archive.unsettled(name, modified, modified + age_seconds) is expected
