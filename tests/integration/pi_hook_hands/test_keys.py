"""Keys change while a device is off: real aptly, gpg, apt and debsig-verify, and the builder's own commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pi_hook.apt_source import AptSourceFiles
from pi_hook.ports import UPDATE_STEPS, AptSettings, Problem, Step
from tests.support.apt_repo import DEVICE_ID, TOKEN, RepoServer
from tests.support.apt_root import AptRoot
from tests.support.aptly import BuilderStack, builder_stack, plain_payload

ASSISTANT = "tiny-assistant"


@dataclass
class Fleet:
    """A builder, its repository behind a server, and one device that trusts the builder's first keys."""

    stack: BuilderStack
    device: AptRoot
    payload: Path

    def pkgbuild(self, *words: str) -> str:
        done = self.stack.run(*words)
        assert done.status == 0, done.stderr
        return done.stdout

    def release(self, version: str) -> None:
        done = self.stack.release(self.payload, version)
        assert done.status == 0, done.stderr

    def keys(self, *words: str) -> str:
        return self.pkgbuild("keys", *words)

    def update(self, version: str) -> None:
        """What the agent does for a granted release."""
        for step in UPDATE_STEPS:
            result = self.device.step(step, version, name=ASSISTANT)
            assert result.problem is None, result.message
        assert self.device.version(ASSISTANT) == version

    def policies(self) -> set[str]:
        return {path.parent.name for path in self.device.path.glob("etc/debsig/policies/*/pi-ota.pol")}

    def current(self, role: str) -> str:
        (line,) = [line for line in self.keys("show").splitlines() if line.startswith(role) and " current " in line]
        return line.split()[1]


@pytest.fixture
def fleet(prepared: tuple[Path, ...], suite: str, tmp_path: Path) -> Iterator[Fleet]:
    payload = plain_payload(tmp_path / "payload", ASSISTANT)
    with builder_stack(targets=(f"{suite}/amd64",)) as stack, AptRoot(prepared, tmp_path / "device") as device:
        served = tmp_path / "served"
        served.mkdir()
        (served / "repo").symlink_to(stack.public)
        with RepoServer(served) as server:
            for source in [*device.path.glob("etc/apt/sources.list"), *device.path.glob("etc/apt/sources.list.d/*")]:
                source.unlink()
            AptSourceFiles(device.root).write(AptSettings(server.url, suite, "stable", ASSISTANT, DEVICE_ID, TOKEN))
            fleet = Fleet(stack, device, payload)
            keyring = fleet.keys("package", "--output", str(tmp_path)).strip()
            device.run("dpkg", "--install", device.copy_in(Path(keyring), "/root/keyring.deb"))
            fleet.release("1.0.0")
            yield fleet


def test_both_keys_rotate_while_a_device_is_off_and_it_comes_back(fleet: Fleet) -> None:
    old_archive, old_builder = fleet.current("archive"), fleet.current("builder")
    # The device is off while both keys change.
    fleet.keys("rotate", "archive")
    fleet.keys("rotate", "builder")
    fleet.keys("publish")
    fleet.keys("rotate", "builder")
    fleet.release("1.1.0")
    assert {fleet.current("archive"), fleet.current("builder")}.isdisjoint({old_archive, old_builder})
    # It is offered a release that is signed by a key it has never heard of, before any night.
    fleet.update("1.1.0")
    assert fleet.device.version("pi-ota-keyring") == "2"
    assert fleet.policies() == {old_builder[-16:], fleet.current("builder")[-16:]}
    # With the old archive key gone it still reads the repository.
    fleet.keys("retire", "archive", "--offline-days", "0")
    fleet.keys("publish")
    fleet.release("1.2.0")
    fleet.update("1.2.0")
    # One that was off for longer than was said is locked out, and takes nothing over.
    shutil.copy(fleet.stack.state / "keys/packages/pi-ota-keyring_1_all.deb", fleet.device.path / "root/first.deb")
    fleet.device.run("dpkg", "--install", "/root/first.deb")
    result = fleet.device.step(Step.REFRESH, "1.2.0", name=ASSISTANT)
    assert result.problem is Problem.UNTRUSTED, result.message


def test_the_only_builder_key_is_revoked_while_a_device_is_off_and_it_comes_back(fleet: Fleet) -> None:
    fleet.update("1.0.0")
    stolen = fleet.current("builder")
    said = fleet.keys("revoke", "builder")
    assert f"To be released anew on stable: {ASSISTANT} 1.0.0" in said
    stack = fleet.stack
    # Whoever has the stolen key signs a release with it, and has got into the repository as well.
    text = stack.settings.read_text()
    ring = stack.state / "keys/ring.json"
    kept = ring.read_text()
    ring.unlink()
    fleet.release("1.1.0")
    ring.write_text(kept)
    assert stack.settings.read_text() == text
    fleet.keys("publish")
    fleet.release("1.2.0")
    # The device comes back, and is offered what the thief has made.
    assert fleet.device.step(Step.REFRESH, "1.1.0", name=ASSISTANT).problem is None
    refused = fleet.device.step(Step.DOWNLOAD, "1.1.0", name=ASSISTANT)
    assert refused.problem is Problem.UNTRUSTED, refused.message
    assert "unknown builder key" in refused.message
    refused = fleet.device.step(Step.INSTALL, "1.1.0", name=ASSISTANT)
    assert refused.problem is Problem.UNTRUSTED, refused.message
    assert fleet.policies() == {fleet.current("builder")[-16:]} != {stolen[-16:]}
    assert fleet.device.version(ASSISTANT) == "1.0.0"
    fleet.update("1.2.0")
    assert fleet.device.version("pi-ota-keyring") == "3", "by way of 2, which the stolen key had to sign"
