"""DOWNLOAD and INSTALL: exactly the granted version, checked byte for byte, and believed only by dpkg."""

from __future__ import annotations

import fcntl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pi_hook.ports import Problem, Step
from tests.support.apt_repo import NAME, build_deb
from tests.support.apt_root import AptRoot

from .conftest import point_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.apt_repo import Repo, RepoServer


@pytest.fixture
def repo(first_release: tuple[Repo, tuple[Path, ...]], tmp_path: Path) -> Repo:
    """A copy of the repository that has 1.0.0."""
    return first_release[0].copy(tmp_path / "served")


@pytest.fixture
def installed(
    first_release: tuple[Repo, tuple[Path, ...]], repo: Repo, server: RepoServer, tmp_path: Path
) -> Iterator[AptRoot]:
    """1.0.0 installed the agent's way."""
    with AptRoot(first_release[1], tmp_path / "device") as system:
        point_at(system, repo, server)
        yield system


def offer(device: AptRoot, repo: Repo, version: str) -> None:
    repo.publish()
    assert device.step(Step.REFRESH, version).problem is None


def layers(device: AptRoot) -> set[str]:
    listed = device.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n", f"{NAME}*").stdout
    return {line.split()[1] for line in listed.splitlines() if line.startswith("ii")}


def test_first_installation_brings_name_and_layers(installed: AptRoot) -> None:
    assert installed.version(NAME) == "1.0.0"
    assert layers(installed) == {NAME, f"{NAME}-app-1.0.0", f"{NAME}-deps-0123456789ab"}
    assert (installed.path / f"var/lib/{NAME}/current").readlink() == Path(f"/usr/lib/{NAME}/releases/1.0.0")


def test_an_upgrade_through_unattended_upgrades_keeps_the_old_layers(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", deps="ba9876543210")
    offer(installed, repo, "1.1.0")
    assert installed.step(Step.DOWNLOAD, "1.1.0").problem is None
    result = installed.step(Step.INSTALL, "1.1.0")
    assert (result.problem, result.bytes_fetched) == (None, 0)
    assert installed.version(NAME) == "1.1.0"
    assert {f"{NAME}-app-1.0.0", f"{NAME}-app-1.1.0", f"{NAME}-deps-ba9876543210"} < layers(installed)
    # It was unattended-upgrades that did it, and nobody flipped `current`.
    log = (installed.path / "var/log/unattended-upgrades/unattended-upgrades.log").read_text()
    assert f"Packages that will be upgraded: {NAME}" in log
    assert (installed.path / f"var/lib/{NAME}/current").readlink().name == "1.0.0"


def test_a_newer_version_that_was_not_granted_is_not_taken(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    repo.release("1.2.0")
    offer(installed, repo, "1.1.0")
    assert installed.step(Step.INSTALL, "1.1.0").problem is None
    assert installed.version(NAME) == "1.1.0"
    assert f"{NAME}-app-1.2.0" not in layers(installed)


def test_a_plain_unattended_upgrade_leaves_the_assistant_alone(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    # Even where a person allowed our origin there.
    allow = 'Unattended-Upgrade::Origins-Pattern { "origin=pi-ota"; };\n'
    (installed.path / "etc/apt/apt.conf.d/99-allow").write_text(allow)
    said = installed.run("unattended-upgrade", "--verbose", "--debug").stdout
    assert installed.version(NAME) == "1.0.0"
    assert "requires app-restart" in said


def test_downloads_only_what_is_new_and_counts_truly(installed: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    server.body_bytes = 0
    result = installed.step(Step.DOWNLOAD, "1.1.0")
    assert result.bytes_fetched == server.body_bytes > 0
    fetched = [path for path in server.requests if path.endswith(".deb") and "1.1.0" in path]
    assert len(fetched) == 2
    assert not any("deps" in path for path in server.requests)
    server.body_bytes = 0
    again = installed.step(Step.DOWNLOAD, "1.1.0")
    assert (again.problem, again.bytes_fetched, server.body_bytes) == (None, 0, 0)


def test_a_damaged_cached_file_is_fetched_again(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    installed.step(Step.DOWNLOAD, "1.1.0")
    cached = next(installed.path.glob(f"var/lib/pi-hook/archives/{NAME}-app-1.1.0_*.deb"))
    good = cached.read_bytes()
    cached.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # the same size: apt itself would take it
    assert installed.step(Step.INSTALL, "1.1.0").problem is None
    assert cached.read_bytes() == good


@pytest.mark.parametrize("which", [NAME, f"{NAME}-app-1.1.0", f"{NAME}-deps-ba9876543210"])
def test_one_changed_byte_on_the_server_installs_nothing(installed: AptRoot, repo: Repo, which: str) -> None:
    repo.release("1.1.0", deps="ba9876543210")
    offer(installed, repo, "1.1.0")
    deb = next(deb for deb in repo.debs if deb.name.startswith(f"{which}_") and "1.0.0" not in deb.name)
    body = bytearray(deb.read_bytes())
    body[len(body) // 2] ^= 1
    deb.write_bytes(body)
    before = layers(installed)
    result = installed.step(Step.DOWNLOAD, "1.1.0")
    assert result.problem is Problem.UNTRUSTED, result.message
    assert installed.step(Step.INSTALL, "1.1.0").problem is Problem.UNTRUSTED
    assert layers(installed) == before
    assert installed.version(NAME) == "1.0.0"


@pytest.mark.parametrize("how", ["unsigned", "tampered", "the archive key", "another builder"])
def test_a_stolen_repository_host_installs_nothing(installed: AptRoot, repo: Repo, how: str) -> None:
    """The archive key's owner publishes what the builder did not sign: apt is content, debsig-verify is not."""
    if how != "tampered":
        repo.release("1.1.0", sign=False)
        signers = {"the archive key": repo.keys.archive, "another builder": repo.keys.stranger}
        for deb in repo.debs if how in signers else []:
            if "1.1.0" in deb.name:
                repo.keys.sign_deb(deb, signers[how])
    else:
        repo.release("1.1.0")
        deb = next(deb for deb in repo.debs if deb.name.startswith(f"{NAME}-app-1.1.0"))
        body = deb.read_bytes()
        at = body.index(b"data.tar.gz") + 200
        deb.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    offer(installed, repo, "1.1.0")
    result = installed.step(Step.DOWNLOAD, "1.1.0")
    assert result.problem is Problem.UNTRUSTED, result.message
    words = {"unsigned": "carries no builder signature", "tampered": "does not fit its content"}
    assert words.get(how, "is of an unknown builder key") in result.message
    result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is Problem.UNTRUSTED, "apt's own hook refuses it as well"
    assert layers(installed).isdisjoint({f"{NAME}-app-1.1.0"})
    assert installed.version(NAME) == "1.0.0"


def test_the_hook_refuses_under_unattended_upgrades_too(installed: AptRoot, repo: Repo) -> None:
    """Without a download step before it: apt's own hook is what stands in the way."""
    repo.release("1.1.0", sign=False)
    offer(installed, repo, "1.1.0")
    result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is Problem.UNTRUSTED, result.message
    assert "carries no builder signature" in result.message
    assert installed.run("dpkg", "--audit").stdout == ""
    assert installed.version(NAME) == "1.0.0"


def test_without_builder_keys_the_agents_own_run_refuses(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    for policy in installed.path.glob("etc/debsig/policies/*/pi-ota.pol"):
        policy.unlink()
    result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is Problem.UNTRUSTED
    assert "pi-ota-keyring" in result.message


def test_settings_of_apt_conf_d_do_not_reach_the_agents_run(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", deps="ba9876543210")
    offer(installed, repo, "1.1.0")
    (installed.path / "etc/apt/apt.conf.d/99-other").write_text(
        'DPkg::Pre-Install-Pkgs { "echo a hook of another; false"; };\n'
        'Unattended-Upgrade::IgnoreAppsRequireRestart "false";\n'
        'Unattended-Upgrade::Remove-New-Unused-Dependencies "true";\n'
        'Unattended-Upgrade::Remove-Unused-Dependencies "true";\n'
        'Unattended-Upgrade::Package-Blacklist { "sample"; };\n'
    )
    result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is None, result.message
    assert {f"{NAME}-app-1.0.0", f"{NAME}-deps-0123456789ab"} < layers(installed)


def test_a_persons_own_apt_run_is_checked_where_keys_are_installed(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", sign=False)
    offer(installed, repo, "1.1.0")
    said = installed.run("apt-get", "install", "--yes", NAME, check=False)
    assert said.returncode != 0
    assert "carries no builder signature" in said.stdout
    for policy in installed.path.glob("etc/debsig/policies/*/pi-ota.pol"):
        policy.unlink()
    installed.run("apt-get", "install", "--yes", NAME)
    assert installed.version(NAME) == "1.1.0"


def test_a_hook_left_behind_by_a_removed_agent_does_not_stop_apt(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    installed.run("dpkg", "--remove", "pi-hook")
    assert (installed.path / "etc/apt/apt.conf.d/51pi-ota-verify").exists()
    installed.run("apt-get", "install", "--yes", NAME)
    assert installed.version(NAME) == "1.1.0"


@pytest.mark.parametrize("origin", ["pi-ota", "Debian"])
def test_the_repository_cannot_replace_a_system_package(installed: AptRoot, repo: Repo, origin: str) -> None:
    work = repo.folder / "work"
    work.mkdir(exist_ok=True)
    repo.add(build_deb(work, "hostname", "99", {"/usr/share/evil": "x"}, control="Essential: yes\n"))
    repo.origin = origin
    repo.publish()
    installed.run("apt-get", "update", "-o", "Dir::Cache::pkgcache=")
    policy = installed.run("apt-cache", "policy", "hostname").stdout
    assert "Candidate: 99" not in policy
    assert " 99 -1" in " ".join(policy.split())


def test_an_unmet_dependency_is_named(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", depends="libunobtainable2 (>= 2)")
    offer(installed, repo, "1.1.0")
    result = installed.step(Step.DOWNLOAD, "1.1.0")
    assert result.problem is Problem.DEPENDENCY_BLOCKED
    assert f"{NAME} needs libunobtainable2 (>= 2)" in result.message
    assert installed.step(Step.INSTALL, "1.1.0").problem is Problem.DEPENDENCY_BLOCKED


def test_a_held_package_is_left_alone(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    installed.run("apt-mark", "hold", NAME)
    result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is Problem.DEPENDENCY_BLOCKED
    assert "apt-mark" in result.message
    assert installed.version(NAME) == "1.0.0"


def test_a_locked_dpkg_is_said(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    with (installed.path / "var/lib/dpkg/lock-frontend").open("r+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is Problem.APT_LOCKED, result.message
    assert installed.version(NAME) == "1.0.0"


def test_a_lock_that_is_given_back_is_no_obstacle_at_the_next_try(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    for lock in ("dpkg/lock-frontend", "dpkg/lock"):
        began = time.monotonic()
        with (installed.path / "var/lib" / lock).open("r+") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            assert installed.step(Step.INSTALL, "1.1.0").problem is Problem.APT_LOCKED
        assert time.monotonic() - began < 60, "the step does not wait itself: the daemon asks again later"
    assert installed.step(Step.INSTALL, "1.1.0").problem is None


def test_a_changed_conffile_is_kept_and_nobody_is_asked(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", conffile="voice = one\n")
    offer(installed, repo, "1.1.0")
    assert installed.step(Step.INSTALL, "1.1.0").problem is None
    conffile = installed.path / f"etc/{NAME}.conf"
    conffile.write_text("voice = mine\n")
    repo.release("1.2.0", conffile="voice = two\n")
    offer(installed, repo, "1.2.0")
    result = installed.step(Step.INSTALL, "1.2.0")
    assert result.problem is None, result.message
    assert installed.version(NAME) == "1.2.0"
    assert conffile.read_text() == "voice = mine\n"
    assert conffile.with_name(f"{NAME}.conf.dpkg-dist").read_text() == "voice = two\n"


def test_a_conffile_that_was_deleted_stays_deleted_and_nobody_is_asked(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", conffile="voice = one\n")
    offer(installed, repo, "1.1.0")
    assert installed.step(Step.INSTALL, "1.1.0").problem is None
    (installed.path / f"etc/{NAME}.conf").unlink()
    repo.release("1.2.0", conffile="voice = two\n")
    offer(installed, repo, "1.2.0")
    assert installed.step(Step.INSTALL, "1.2.0").problem is None
    assert not (installed.path / f"etc/{NAME}.conf").exists()


def test_a_system_that_became_read_only_is_said_and_nothing_is_lost(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    assert installed.step(Step.DOWNLOAD, "1.1.0").problem is None
    usr = str(installed.path / "usr")
    subprocess.run(["mount", "--bind", usr, usr], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", usr], check=True)
    try:
        result = installed.step(Step.INSTALL, "1.1.0")
    finally:
        subprocess.run(["umount", usr], check=True)
    assert result.problem is Problem.READ_ONLY_ROOT, result.message
    assert installed.step(Step.INSTALL, "1.1.0").problem is None, "once it can be written again"
    assert installed.run("dpkg", "--audit").stdout == ""


def test_a_failing_maintainer_script_is_dpkg_failed_with_its_words(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0", postinst="echo the disk is made of cheese >&2; exit 7")
    offer(installed, repo, "1.1.0")
    result = installed.step(Step.INSTALL, "1.1.0")
    assert result.problem is Problem.DPKG_FAILED, result.message
    assert "half-configured" in result.message
    assert "exit status 7" in result.message


def test_a_full_disk_is_said_before_anything_is_fetched(installed: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    conditions = installed.path / "usr/lib/pi-hook/pi_hook/conditions.py"
    conditions.write_text(conditions.read_text().replace("64 * 1024 * 1024", "2**60"))
    result = installed.step(Step.DOWNLOAD, "1.1.0")
    assert result.problem is Problem.DISK_FULL
    assert not any("1.1.0" in path for path in server.requests if path.endswith(".deb"))


def test_an_older_version_than_installed_is_not_taken(installed: AptRoot, repo: Repo) -> None:
    repo.release("1.1.0")
    offer(installed, repo, "1.1.0")
    assert installed.step(Step.INSTALL, "1.1.0").problem is None
    assert installed.step(Step.INSTALL, "1.0.0").problem is Problem.DEPENDENCY_BLOCKED
    assert installed.version(NAME) == "1.1.0"


def test_installing_again_what_is_installed_is_quick_and_changes_nothing(installed: AptRoot) -> None:
    before = (installed.path / "var/lib/dpkg/status").read_bytes()
    started = time.monotonic()
    assert installed.step(Step.INSTALL, "1.0.0").problem is None
    assert time.monotonic() - started < 10
    assert (installed.path / "var/lib/dpkg/status").read_bytes() == before
