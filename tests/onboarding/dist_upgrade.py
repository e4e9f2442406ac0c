"""A device goes from Debian 12 to 13 in place, as docs/DEVICES.md says it. For ``make check-dist-upgrade``.

Everything is real: the server, aptly, systemd, Debian's mirror, and the assistant with its third-party wheels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.onboarding.fleet import Fleet, fleet, publish, release, whole_pi
from tests.support.apt_root import CHECKOUT, is_root
from tests.support.booted import Booted, booted

pytestmark = [pytest.mark.skipif(not is_root(), reason="needs root"), pytest.mark.timeout(3600)]

NAME = "sample-assistant"
_SECONDS = 600
_QUIET = "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confold"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    folder.chmod(0o755)
    with fleet(folder) as made:
        publish(made, tmp_path_factory.mktemp("agent"))
        release(made, CHECKOUT / "examples/sample_assistant", "1.0.0")
        yield made


def until(seen: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not seen():
        assert time.monotonic() < deadline, what()
        time.sleep(1)


def status(system: Booted) -> Any:
    return json.loads(system.run("pi-hook", "status", "--json").stdout)


def runs(system: Booted, version: str) -> bool:
    found = status(system)
    return bool(
        found["assistant"]["running"] == version and (found["history"] or [{}])[0].get("outcome") == "succeeded"
    )


def python_of(system: Booted) -> str:
    """Which Python the assistant's process is run by."""
    pid = system.run("systemctl", "show", "--property=MainPID", "--value", f"{NAME}.service").stdout.strip()
    return system.run("readlink", f"/proc/{pid}/exe").stdout.strip()


def upgrade(system: Booted) -> str:
    """The commands of docs/DEVICES.md."""
    system.run("pi-hook", "hold")
    sources = "find /etc/apt -name '*.list' -o -name '*.sources' ! -name pi-ota.sources"
    system.run("sh", "-c", f"sed -i s/bookworm/trixie/g $({sources})")
    system.run("sh", "-c", f"{_QUIET} update", seconds=_SECONDS)
    return system.run("sh", "-c", f"{_QUIET} full-upgrade", seconds=3 * _SECONDS).stdout


@contextmanager
def upgraded(running: Fleet, root: Path, *further: str) -> Iterator[Booted]:
    """A device that had 1.0.0 on Debian 12 has been upgraded and started again; ``further``: run before the start."""
    with booted(root) as system:
        print(system.run("sh", "-c", running.line(debian="bookworm")).stdout)
        until(lambda: runs(system, "1.0.0"), lambda: status(system))
        assert python_of(system) == "/usr/bin/python3.11"
        print(upgrade(system)[-2000:])
        assert status(system)["assistant"]["running"] == "1.0.0"
        for command in further:
            print(system.run("sh", "-c", command, seconds=_SECONDS).stdout)
    with booted(root) as system:
        source = root / "etc/apt/sources.list.d/pi-ota.sources"
        until(lambda: "/repo/trixie" in source.read_text(), source.read_text)
        until(lambda: newest(running)["debian"] == "trixie", lambda: newest(running))
        yield system


def test_an_assistant_that_the_upgrade_has_removed_comes_back_by_itself(running: Fleet, tmp_path: Path) -> None:
    """Where the old Python cannot stay, apt removes the release with it; here it is removed by hand."""
    with (
        whole_pi("bookworm", tmp_path, running) as root,
        upgraded(running, root, f"{_QUIET} remove python3.11-minimal") as system,
    ):
        assert system.run("dpkg-query", "-Wf", "${db:Status-Status}", NAME, check=False).stdout != "installed"
        system.run("pi-hook", "release")
        until(lambda: runs(system, "1.0.0"), lambda: status(system))
        assert python_of(system) == "/usr/bin/python3.13"


def test_the_assistant_runs_on_and_the_next_release_is_one_for_debian_13(running: Fleet, tmp_path: Path) -> None:
    with whole_pi("bookworm", tmp_path, running) as root, upgraded(running, root) as system:
        assert status(system)["assistant"]["running"] == "1.0.0"
        assert python_of(system) == "/usr/bin/python3.11"
        examined = system.run("pi-hook", "doctor", check=False).stdout
        assert "1.0.0 was built for bookworm and runs with its Python 3.11" in examined
        system.run("pi-hook", "release")
        release(running, CHECKOUT / "examples/sample_assistant", "1.1.0")
        until(lambda: offered_and_installed(system), lambda: status(system))
        assert runs(system, "1.1.0")
        assert python_of(system) == "/usr/bin/python3.13"
        assert "built for" not in system.run("pi-hook", "doctor", check=False).stdout
        # Back to the release before is still possible, with the Python that it was built for.
        print(system.run("pi-hook", "rollback", seconds=_SECONDS).stdout)
        assert python_of(system) == "/usr/bin/python3.11"


def offered_and_installed(system: Booted) -> bool:
    """Whether it is installed; False where the server has still to be asked for an offer."""
    done = system.run("pi-hook", "install", "--now", check=False, seconds=_SECONDS)
    print(done.stdout)
    assert done.returncode == 0 or "no release is offered to this device" in done.stdout
    return done.returncode == 0


def newest(running: Fleet) -> dict[str, str]:
    return max(running.devices(), key=lambda one: one["registered_at"])
