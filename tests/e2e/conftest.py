"""The end-to-end tests share one set of keys, so that they share one disk image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from demo.agent import HEARTBEAT_SECONDS, disk_with_agent
from demo.shell import PROJECT
from demo.stack import Stack, free_port
from demo.vpi.machine import VirtualPi

BootFiles = Mapping[str, bytes]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """aptly and the server, in a hurry."""
    with Stack(tmp_path_factory.mktemp("stack"), port=free_port(), heartbeat_seconds=HEARTBEAT_SECONDS) as running:
        yield running


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
