from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_server.config import Settings
from tests.integration.pi_hook_daemon.story import Device
from tests.support.in_process import Line
from tests.support.pi_hook_fakes import Release
from tests.unit.repo_server.conftest import Service, serving


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """A device fresh from the box, with three releases published."""
    device = Device(tmp_path)
    device.world.published = {
        "1.0.0": Release(),
        "1.1.0": Release(urgency="urgent"),
        "1.2.0": Release(urgency="urgent", crashes=True),
        "1.3.0": Release(urgency="urgent"),
    }
    yield device
    device.kill()


@pytest.fixture
def settled(device: Device) -> Device:
    """A device that runs 1.0.0, proven."""
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    return device


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The real application, in this process."""
    with serving(Settings(state_dir=tmp_path / "server", repository_dir=tmp_path / "public")) as one:
        yield one


@pytest.fixture
def line() -> Line:
    """What lies between a device and the application."""
    return Line()
