"""REFRESH: only our source, only signed words, and the right problem for each failure."""

from __future__ import annotations

import fcntl
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from pi_hook.ports import Problem, Step
from pi_hook.release_dir import ReleaseDir
from tests.support.apt_repo import NAME

if TYPE_CHECKING:
    from tests.support.apt_repo import Repo, RepoServer
    from tests.support.apt_root import AptRoot


def test_finds_the_offered_version_with_its_signed_urgency(device: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("1.0.0", "urgent")
    repo.publish()
    result = device.step(Step.REFRESH, "1.0.0", "urgent")
    assert (result.problem, result.urgency) == (None, "urgent")
    assert result.bytes_fetched == server.body_bytes > 0
    assert result.not_before is not None
    assert abs(result.not_before.timestamp() - time.time()) < 300


def test_a_second_refresh_fetches_almost_nothing(device: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("1.0.0")
    repo.publish()
    device.step(Step.REFRESH, "1.0.0")
    server.body_bytes = 0
    result = device.step(Step.REFRESH, "1.0.0")
    assert result.problem is None
    assert result.bytes_fetched == server.body_bytes == 0


def test_asks_no_other_source_and_keeps_its_lists(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish()
    other = device.path / "etc/apt/sources.list.d/other.list"
    other.write_text("deb http://127.0.0.1:9/dead stable main\n")
    kept = device.path / "var/lib/apt/lists/127.0.0.1:9_dead_dists_stable_InRelease"
    kept.write_text("of another source")
    assert device.step(Step.REFRESH, "1.0.0").problem is None
    assert kept.read_text() == "of another source"


def have_1_0_0(device: AptRoot, repo: Repo) -> None:
    """Installed as ever."""
    repo.release("1.0.0")
    repo.publish()
    device.step(Step.REFRESH, "1.0.0")
    assert device.step(Step.INSTALL, "1.0.0").problem is None


def test_the_most_urgent_of_the_skipped_versions_counts(device: AptRoot, repo: Repo) -> None:
    have_1_0_0(device, repo)
    repo.release("1.1.0", "urgent")
    repo.release("1.2.0", "scheduled")
    repo.publish()
    assert device.step(Step.REFRESH, "1.2.0", "urgent").urgency == "urgent"
    mismatch = device.step(Step.REFRESH, "1.2.0", "scheduled")
    assert mismatch.problem is Problem.URGENCY_MISMATCH
    assert "signed as urgent" in mismatch.message


def test_an_installed_version_to_be_activated_is_as_urgent_as_the_way_from_the_one_that_runs(
    device: AptRoot, repo: Repo
) -> None:
    have_1_0_0(device, repo)
    repo.release("1.1.0", "urgent")
    repo.release("1.2.0", "scheduled")
    repo.publish()
    device.step(Step.REFRESH, "1.2.0", "urgent")
    assert device.step(Step.INSTALL, "1.2.0", "urgent").problem is None
    releases = ReleaseDir(NAME, device.root)
    releases.activate("1.0.0")  # it was not well
    assert device.step(Step.REFRESH, "1.2.0", "urgent").urgency == "urgent"
    assert device.step(Step.REFRESH, "1.2.0", "scheduled").problem is Problem.URGENCY_MISMATCH
    releases.activate("1.2.0")  # nothing lies between any more
    assert device.step(Step.REFRESH, "1.2.0", "scheduled").urgency == "scheduled"


def test_a_release_for_newer_agents_waits_for_one(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0", fields="Update-Minimum-Agent: 99.1\n")
    repo.release("1.1.0", fields="Update-Minimum-Agent: 0.0.1\n")
    repo.publish()
    result = device.step(Step.REFRESH, "1.0.0")
    assert result.problem is Problem.DEPENDENCY_BLOCKED, result.message
    assert "needs pi-hook 99.1 or higher" in result.message
    assert "upgrade the package pi-hook first" in result.message
    assert device.step(Step.REFRESH, "1.1.0").problem is None


def test_a_version_that_is_not_in_the_lists(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish()
    result = device.step(Step.REFRESH, "9.9.9")
    assert result.problem is Problem.NOT_PUBLISHED
    assert "1.0.0" in result.message


def test_another_archive_key_is_untrusted_and_nothing_is_taken_over(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish(key=repo.keys.builder)
    result = device.step(Step.REFRESH, "1.0.0")
    assert result.problem is Problem.UNTRUSTED, result.message
    assert not list(device.path.glob("var/lib/apt/lists/*Packages*"))


@pytest.mark.parametrize("path", ["dists/stable/main/binary-amd64/Packages", "dists/stable/InRelease"])
def test_one_changed_byte_is_untrusted(device: AptRoot, repo: Repo, path: str) -> None:
    repo.release("1.0.0")
    repo.publish()
    for file in [repo.base / path, *([repo.base / f"{path}.gz"] if path.endswith("Packages") else [])]:
        body = bytearray(file.read_bytes())
        at = body.find(b"Origin") if path.endswith("InRelease") else len(body) // 2
        body[at] ^= 1
        file.write_bytes(body)
    result = device.step(Step.REFRESH, "1.0.0")
    assert result.problem is Problem.UNTRUSTED, result.message


@pytest.mark.parametrize("status", [403, 401])
def test_a_device_that_the_repository_refuses(device: AptRoot, repo: Repo, server: RepoServer, status: int) -> None:
    repo.release("1.0.0")
    repo.publish()
    server.status = status
    result = device.step(Step.REFRESH, "1.0.0")
    assert result.problem is Problem.REFUSED, result.message


def test_wrong_credentials_are_refused(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish()
    auth = device.path / "etc/apt/auth.conf.d/pi-ota.conf"
    auth.write_text(auth.read_text().replace("device-token", "wrong-token"))
    assert device.step(Step.REFRESH, "1.0.0").problem is Problem.REFUSED


def test_a_server_error_is_unreachable(device: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("1.0.0")
    repo.publish()
    server.status = 503
    assert device.step(Step.REFRESH, "1.0.0").problem is Problem.UNREACHABLE


def test_a_dead_server_is_unreachable_even_with_older_lists_there(
    device: AptRoot, repo: Repo, server: RepoServer
) -> None:
    repo.release("1.0.0")
    repo.publish()
    assert device.step(Step.REFRESH, "1.0.0").problem is None
    server.__exit__(None, None, None)
    assert device.step(Step.REFRESH, "1.0.0").problem is Problem.UNREACHABLE


def test_a_frozen_mirror_is_noticed_once_its_lists_are_a_week_old(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish(date=time.time() - 6 * 86_400)
    assert device.step(Step.REFRESH, "1.0.0").problem is None
    frozen = (repo.base / "dists/stable/InRelease").read_bytes()
    # Two days later the mirror has still the same file. Time cannot pass here, so what is allowed shrinks instead.
    source = device.path / "etc/apt/sources.list.d/pi-ota.sources"
    text = source.read_text()
    assert "Valid-Until-Max: 604800" in text
    source.write_text(text.replace("604800", str(5 * 86_400)))
    assert (repo.base / "dists/stable/InRelease").read_bytes() == frozen
    for result in (device.step(Step.REFRESH, "1.0.0"), device.system_step(Step.LISTS, "none")):
        assert result.problem is Problem.NOT_PUBLISHED, result.message
        assert "its lists too old" in result.message
        assert "expired" in result.message


def test_an_older_inrelease_played_back_changes_nothing(device: AptRoot, repo: Repo) -> None:
    """Whoever holds back what was published wins a week at most, and no older release is ever installed."""
    now = time.time()
    repo.release("1.0.0")
    repo.publish(date=now - 3 * 86_400)
    dists = repo.base / "dists"
    shutil.copytree(dists, repo.folder / "old")
    repo.release("1.1.0")
    repo.publish(date=now - 60)
    assert device.step(Step.REFRESH, "1.1.0").problem is None

    def play_back() -> None:
        shutil.rmtree(dists)
        shutil.copytree(repo.folder / "old", dists)

    play_back()
    kept = device.step(Step.REFRESH, "1.1.0")
    assert kept.problem is None, kept.message
    assert kept.not_before is not None
    assert abs(kept.not_before.timestamp() - (now - 60)) < 2, "the lists that apt had are kept"
    # A device that has lost its lists (a new card) takes the old ones, and the release on offer is not in them.
    for file in device.path.glob("var/lib/apt/lists/*_*"):
        file.unlink()
    result = device.step(Step.REFRESH, "1.1.0")
    assert result.problem is Problem.NOT_PUBLISHED, result.message
    assert "1.1.0 is not in the signed lists (there: 1.0.0)" in result.message


def test_an_empty_channel_is_not_published(device: AptRoot) -> None:
    assert device.step(Step.REFRESH, "1.0.0").problem is Problem.NOT_PUBLISHED


def test_locked_lists_say_so(device: AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish()
    device.step(Step.REFRESH, "1.0.0")
    with (device.path / "var/lib/apt/lists/lock").open("r+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        assert device.step(Step.REFRESH, "1.0.0").problem is Problem.APT_LOCKED
