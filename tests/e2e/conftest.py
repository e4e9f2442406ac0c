"""The end-to-end tests share one set of keys, so that they share one disk image."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest

from demo.agent import HEARTBEAT_SECONDS, disk_with_agent, first_boot_settings
from demo.ports import free_port
from demo.shell import PROJECT
from demo.stack import Stack
from demo.vpi.machine import VirtualPi
from tests.e2e.night import settle_in_at_noon
from tests.e2e.stories import Machines, Story, settle_in

BootFiles = Mapping[str, bytes]
IDLE_REQUIRED_SECONDS = 15
SOAK_SECONDS = 3
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure for the machine that the test was told on."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first stack leaves its keys for the others: with one keyring package they share one disk image."""
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="module")
def stack(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """aptly and the server, in a hurry; each file of tests has its own, so that no version is released twice."""
    state = tmp_path_factory.mktemp("stack")
    if keys.exists():
        _copy_keys(keys, state / "keys")
    with Stack(state, port=free_port(), heartbeat_seconds=HEARTBEAT_SECONDS) as running:
        yield running
        if not keys.exists():
            _copy_keys(state / "keys", keys)


def _copy_keys(source: Path, target: Path) -> None:
    """Copy them without the sockets and locks of their agents."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("S.*", "*.lock", ".#*"))


@pytest.fixture
def virtual_pi(stack: Stack, tmp_path: Path) -> Iterator[Callable[[BootFiles], VirtualPi]]:
    """Makes virtual Pis with the agent installed; they are switched off after the test."""
    made: list[VirtualPi] = []

    def make(boot_files: BootFiles) -> VirtualPi:
        disk = disk_with_agent(stack, PROJECT / ".cache", print)
        made.append(VirtualPi(disk, tmp_path / f"pi{len(made)}", stack.port, boot_files))
        return made[-1]

    yield make
    for pi in made:
        if pi.pid is not None:
            pi.cut_power()


@pytest.fixture(scope="module")
def machines(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The machines that the tests of a file share."""
    shared = Machines(stack, tmp_path_factory.mktemp("machines"))
    yield shared
    shared.close()


@pytest.fixture
def urgent(machines: Machines, request: pytest.FixtureRequest) -> Iterator[Story]:
    """A device that follows urgent releases: 15 s without use are enough."""

    def make(story: Story) -> None:
        settings = first_boot_settings(
            story.stack, story.name, idle_required_seconds=IDLE_REQUIRED_SECONDS, soak_seconds=SOAK_SECONDS
        )
        settle_in(story, {"boot.toml": settings["pi-hook.toml"]})

    story = machines.story("urgent", make)
    yield story
    if request.node.stash.get(_FAILED, False):
        story.give_up()


@pytest.fixture
def scheduled(machines: Machines, request: pytest.FixtureRequest) -> Iterator[Story]:
    """A device at which it is noon, with a window from 02:00 to 02:59 in which it starts at once."""
    story = machines.story("scheduled", settle_in_at_noon)
    yield story
    if request.node.stash.get(_FAILED, False):
        story.give_up()
