"""A release that is one ordinary package: installed by unattended-upgrades, gone back from with its cached .deb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pi_hook.ports import Problem, Step
from pi_hook.releases import AssistantReleases
from tests.support.apt_repo import NAME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.apt_repo import Repo, RepoServer
    from tests.support.apt_root import AptRoot


@pytest.fixture
def installed(device: AptRoot, repo: Repo) -> AptRoot:
    """1.0.0 installed the agent's way, 1.1.0 published and downloaded."""
    repo.classic("1.0.0")
    repo.publish()
    for step in (Step.REFRESH, Step.DOWNLOAD, Step.INSTALL):
        done(device, step, "1.0.0")
    repo.classic("1.1.0")
    repo.publish()
    for step in (Step.REFRESH, Step.DOWNLOAD):
        done(device, step, "1.1.0")
    return device


def done(device: AptRoot, step: Step, version: str) -> None:
    result = device.step(step, version)
    assert result.problem is None, result.message


def cached(device: AptRoot) -> set[str]:
    return {deb.name for deb in device.path.glob(f"var/lib/pi-hook/archives/{NAME}_*.deb")}


def content(device: AptRoot) -> str:
    return (device.path / f"usr/lib/{NAME}/main").read_text()


def releases(device: AptRoot) -> AssistantReleases:
    return AssistantReleases(NAME, device.root)


def test_exactly_the_granted_version_and_both_debs_stay(installed: AptRoot, repo: Repo) -> None:
    repo.classic("1.2.0")
    repo.publish()
    done(installed, Step.REFRESH, "1.1.0")
    done(installed, Step.INSTALL, "1.1.0")
    assert (installed.version(NAME), content(installed)) == ("1.1.0", "#!/bin/sh\n# 1.1.0\nexec sleep 1000\n")
    assert cached(installed) == {f"{NAME}_1.0.0_amd64.deb", f"{NAME}_1.1.0_amd64.deb"}
    found = releases(installed)
    assert (found.active(), found.complete("1.1.0"), found.complete("1.0.0")) == ("1.1.0", True, False)
    assert (found.present(), found.reinstalls("1.0.0"), found.reinstalls("1.1.0")) == (["1.1.0", "1.0.0"], True, False)
    found.activate("1.1.0")
    found.protect(frozenset({"1.0.0", "1.1.0"}))
    assert found.remove_others(frozenset({"1.0.0", "1.1.0"})) == []
    assert len(cached(installed)) == 2
    found.remove_others(frozenset({"1.1.0"}))
    assert cached(installed) == {f"{NAME}_1.1.0_amd64.deb"}
    assert not (installed.path / f"var/lib/{NAME}/current").is_symlink()


def test_back_without_the_network_and_the_bad_version_stays_away(installed: AptRoot, server: RepoServer) -> None:
    done(installed, Step.INSTALL, "1.1.0")
    server.status = 503
    done(installed, Step.REINSTALL, "1.0.0")
    assert (installed.version(NAME), content(installed)) == ("1.0.0", "#!/bin/sh\n# 1.0.0\nexec sleep 1000\n")
    assert installed.run("dpkg", "--audit").stdout == ""
    done(installed, Step.REINSTALL, "1.0.0")  # after a power cut it may be run once more
    server.status = None
    # Without the pin a person's own upgrade would bring it at once again.
    assert f"Inst {NAME} [1.0.0] (1.1.0" in installed.run("apt-get", "--simulate", "upgrade").stdout
    releases(installed).shun(frozenset({"1.1.0"}))
    installed.run("apt-get", "--yes", "upgrade")
    installed.run("unattended-upgrade", "--verbose")
    assert installed.version(NAME) == "1.0.0"


def test_a_bad_version_that_is_granted_once_more_is_installed_in_spite_of_its_pin(installed: AptRoot) -> None:
    releases(installed).shun(frozenset({"1.1.0", "0.9"}))
    done(installed, Step.REFRESH, "1.1.0")
    done(installed, Step.INSTALL, "1.1.0")
    assert installed.version(NAME) == "1.1.0"
    releases(installed).shun(frozenset())
    assert "1.1.0 500" in " ".join(installed.run("apt-cache", "policy", NAME).stdout.split())


@pytest.mark.parametrize("how", ["tampered", "unsigned", "missing"])
def test_a_deb_that_cannot_be_trusted_is_not_gone_back_to(installed: AptRoot, repo: Repo, how: str) -> None:
    done(installed, Step.INSTALL, "1.1.0")
    deb: Path = installed.path / f"var/lib/pi-hook/archives/{NAME}_1.0.0_amd64.deb"
    if how == "tampered":
        body = deb.read_bytes()
        at = body.index(b"data.tar.gz") + 100
        deb.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    elif how == "missing":
        deb.unlink()
    else:
        deb.write_bytes(repo.classic("1.0.0", sign=False).read_bytes())
    result = installed.step(Step.REINSTALL, "1.0.0")
    expected = (Problem.NOT_PUBLISHED, "no .deb of") if how == "missing" else (Problem.UNTRUSTED, "is refused")
    assert result.problem is expected[0], result.message
    assert expected[1] in result.message
    assert installed.version(NAME) == "1.1.0"


def test_back_from_a_package_that_fails_to_be_configured(installed: AptRoot, repo: Repo) -> None:
    repo.classic("1.2.0", postinst="exit 7")
    repo.publish()
    done(installed, Step.REFRESH, "1.2.0")
    assert installed.step(Step.INSTALL, "1.2.0").problem is Problem.DPKG_FAILED
    done(installed, Step.REINSTALL, "1.0.0")
    assert installed.run("dpkg", "--audit").stdout == ""


def test_the_way_back_of_what_a_person_installed_is_fetched_with_the_next_release(device: AptRoot, repo: Repo) -> None:
    first = repo.classic("1.0.0")
    repo.publish()
    done(device, Step.REFRESH, "1.0.0")
    device.run("dpkg", "--install", device.copy_in(first, "/root/first.deb"))
    repo.classic("1.1.0")
    repo.publish()
    done(device, Step.REFRESH, "1.1.0")
    done(device, Step.DOWNLOAD, "1.1.0")
    assert cached(device) == {f"{NAME}_1.0.0_amd64.deb", f"{NAME}_1.1.0_amd64.deb"}
    done(device, Step.INSTALL, "1.1.0")
    done(device, Step.REINSTALL, "1.0.0")
    assert device.version(NAME) == "1.0.0"


def test_a_way_back_that_is_not_to_be_had_holds_no_update_up(device: AptRoot, repo: Repo) -> None:
    gone = repo.classic("1.0.0")
    device.run("dpkg", "--install", device.copy_in(gone, "/root/first.deb"))
    repo.debs.remove(gone)
    repo.classic("1.1.0")
    repo.publish()
    done(device, Step.REFRESH, "1.1.0")
    done(device, Step.DOWNLOAD, "1.1.0")
    assert cached(device) == {f"{NAME}_1.1.0_amd64.deb"}


def test_from_one_package_to_layers_and_back(installed: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("2.0.0")
    repo.publish()
    done(installed, Step.REFRESH, "2.0.0")
    done(installed, Step.INSTALL, "2.0.0")
    found = releases(installed)
    assert (found.active(), found.complete("2.0.0"), found.reinstalls("1.0.0")) == ("2.0.0", True, True)
    server.status = 503
    done(installed, Step.REINSTALL, "1.0.0")
    assert (found.active(), content(installed)) == ("1.0.0", "#!/bin/sh\n# 1.0.0\nexec sleep 1000\n")


def test_from_layers_to_one_package_and_back(device: AptRoot, repo: Repo, server: RepoServer) -> None:
    repo.release("1.0.0")
    repo.publish()
    done(device, Step.REFRESH, "1.0.0")
    done(device, Step.INSTALL, "1.0.0")
    found = releases(device)
    found.protect(frozenset({"1.0.0"}))
    repo.classic("2.0.0")
    repo.publish()
    done(device, Step.REFRESH, "2.0.0")
    done(device, Step.INSTALL, "2.0.0")
    assert (found.active(), found.reinstalls("1.0.0")) == ("2.0.0", True)
    server.status = 503
    done(device, Step.REINSTALL, "1.0.0")
    assert (found.active(), found.complete("1.0.0"), found.reinstalls("1.0.0")) == ("1.0.0", True, False)
