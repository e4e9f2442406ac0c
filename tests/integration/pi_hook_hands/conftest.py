"""A device with the real pi-hook package in it, and a repository that serves it, for each Debian release."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pi_hook.apt_source import AptSourceFiles
from pi_hook.ports import UPDATE_STEPS, AptSettings
from tests.support import apt_root
from tests.support.apt_repo import DEVICE_ID, NAME, TOKEN, Keys, Repo, RepoServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "pi_hook_hands" in str(item.path) and "prepared" in getattr(item, "fixturenames", []):
            item.add_marker(pytest.mark.root)
            item.add_marker(pytest.mark.network)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("keys") / "gpg")
    yield made
    made.close()


@pytest.fixture(scope="session")
def agent_deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("agent")
    subprocess.run([str(apt_root.CHECKOUT / "debian/build"), str(out)], check=True, capture_output=True)
    return next(out.glob("pi-hook_*_all.deb"))


@pytest.fixture(scope="session", params=apt_root.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def prepared(suite: str, agent_deb: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    system = apt_root.AptRoot((apt_root.base(suite),), tmp_path_factory.mktemp("prepared") / suite)
    with_agent = system.__enter__()
    try:
        with_agent.run("dpkg", "--install", with_agent.copy_in(agent_deb, "/root/pi-hook.deb"))
    finally:
        layers = system.freeze()
    return layers


def point_at(system: apt_root.AptRoot, repo: Repo, server: RepoServer) -> None:
    """Give a system the fleet's keys and our repository as its only source, so that Debian's is not to be had."""
    for source in [*system.path.glob("etc/apt/sources.list"), *system.path.glob("etc/apt/sources.list.d/*")]:
        source.unlink()
    repo.keys.trust(system.path)
    AptSourceFiles(system.root).write(AptSettings(server.url, repo.suite, "stable", NAME, DEVICE_ID, TOKEN))


@pytest.fixture
def repo(suite: str, keys: Keys, tmp_path: Path) -> Repo:
    return Repo(tmp_path / "served", keys, suite)


@pytest.fixture
def server(repo: Repo) -> Iterator[RepoServer]:
    repo.base.mkdir(parents=True, exist_ok=True)
    with RepoServer(repo.folder) as running:
        yield running


@pytest.fixture
def device(prepared: tuple[Path, ...], server: RepoServer, repo: Repo, tmp_path: Path) -> Iterator[apt_root.AptRoot]:
    with apt_root.AptRoot(prepared, tmp_path / "device") as system:
        point_at(system, repo, server)
        yield system


@pytest.fixture(scope="session")
def first_release(
    suite: str, keys: Keys, prepared: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Repo, tuple[Path, ...]]:
    """A repository with 1.0.0, and the layers of a device on which the agent's steps have installed it."""
    repo = Repo(tmp_path_factory.mktemp("first") / "served", keys, suite)
    repo.release("1.0.0")
    repo.publish()
    system = apt_root.AptRoot(prepared, tmp_path_factory.mktemp("installed") / suite)
    device = system.__enter__()
    try:
        with RepoServer(repo.folder) as server:
            point_at(device, repo, server)
            for step in UPDATE_STEPS:
                result = device.step(step, "1.0.0")
                assert result.problem is None, result.message
    finally:
        layers = system.freeze()
    return repo, layers
