"""Proxy and bandwidth of the settings, in the agent's own runs of the real apt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pi_hook.apt_config import CONFIG
from pi_hook.apt_source import AptSourceFiles
from pi_hook.ports import AptSettings, Problem, Step
from tests.support.apt_repo import DEVICE_ID, NAME, TOKEN
from tests.support.proxy import ForwardProxy

if TYPE_CHECKING:
    from tests.support.apt_repo import Repo, RepoServer
    from tests.support.apt_root import AptRoot


@pytest.fixture
def settings(repo: Repo, server: RepoServer) -> AptSettings:
    repo.release("1.0.0")
    repo.publish()
    return AptSettings(server.url, repo.suite, "stable", NAME, DEVICE_ID, TOKEN)


def dumped(device: AptRoot, *trees: str) -> str:
    """What apt itself makes of the configuration of the agent's last run."""
    return device.run("apt-config", "dump", *trees, env={"APT_CONFIG": CONFIG}).stdout


def test_lists_and_packages_come_through_the_proxy(
    device: AptRoot, settings: AptSettings, server: RepoServer, repo: Repo
) -> None:
    # What the system's own configuration says does not count against the setting.
    (device.path / "etc/apt/apt.conf.d/99proxy").write_text('Acquire::http::Proxy "http://127.0.0.1:9/";\n')
    assert device.step(Step.REFRESH, "1.0.0").problem is Problem.UNREACHABLE
    with ForwardProxy("pi", "s3cret") as proxy:
        AptSourceFiles(device.root).write(replace(settings, proxy=proxy.url))
        for step in (Step.REFRESH, Step.DOWNLOAD):
            result = device.step(step, "1.0.0")
            assert result.problem is None, result.message
        assert proxy.asked, "apt went elsewhere"
        assert {address.removeprefix(server.url) for address in proxy.asked} >= set(server.requests)
        assert any(address.endswith(".deb") for address in proxy.asked)
    left = device.step(Step.REFRESH, "1.0.0")
    assert left.problem is Problem.UNREACHABLE, "without its proxy nothing is asked"
    assert "s3cret" not in left.message


def test_credentials_of_the_proxy_are_needed_and_not_told(device: AptRoot, settings: AptSettings) -> None:
    with ForwardProxy("pi", "right") as proxy:
        AptSourceFiles(device.root).write(replace(settings, proxy=proxy.url.replace("right", "wr0ngpass")))
        result = device.step(Step.REFRESH, "1.0.0")
        assert result.problem is Problem.UNREACHABLE, result.message
        assert "407" in result.message
        assert "wr0ngpass" not in result.message
        assert proxy.refused
        assert (device.path / CONFIG.lstrip("/")).stat().st_mode & 0o777 == 0o600


def test_the_limit_reaches_apt_and_its_absence_leaves_the_systems_own(device: AptRoot, settings: AptSettings) -> None:
    (device.path / "etc/apt/apt.conf.d/99limit").write_text('Acquire::http::Dl-Limit "5000";\n')
    assert device.step(Step.REFRESH, "1.0.0").problem is None
    assert 'Acquire::http::Dl-Limit "5000";' in dumped(device, "Acquire::http")
    AptSourceFiles(device.root).write(replace(settings, bandwidth_kilobytes_per_second=250))
    for step in (Step.REFRESH, Step.DOWNLOAD):
        result = device.step(step, "1.0.0")
        assert result.problem is None, result.message
        found = dumped(device, "Acquire::http", "Acquire::https")
        assert 'Acquire::http::Dl-Limit "250";' in found
        assert 'Acquire::https::Dl-Limit "250";' in found
        assert "5000" not in found
