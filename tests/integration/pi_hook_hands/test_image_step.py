"""The examples that put the agent into an image, on a Debian system; once clean, and once with an identity in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pi_hook.identity import load_or_create
from tests.support import apt_root
from tests.support.apt_repo import build_deb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.root, pytest.mark.network]

EXAMPLE = apt_root.CHECKOUT / "examples/image"
STAGE = EXAMPLE / "pi-gen/stage-pi-ota/00-pi-ota"


@pytest.fixture
def debs(agent_deb: Path, tmp_path: Path) -> Path:
    """The folder with both packages."""
    folder = tmp_path / "debs"
    folder.mkdir()
    shutil.copy(agent_deb, folder)
    keyring = {"usr/share/keyrings/pi-ota-archive-keyring.gpg": "keys"}
    build_deb(tmp_path, "pi-ota-keyring", "1", keyring).rename(folder / "pi-ota-keyring_1_all.deb")
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Iterator[apt_root.AptRoot]:
    """An image of Debian 13 that a machine has been in: it has an id."""
    with apt_root.AptRoot((apt_root.base("trixie"),), tmp_path / "image") as system:
        (system.path / "etc/machine-id").unlink(missing_ok=True)
        (system.path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        yield system


def hook(image: apt_root.AptRoot, debs: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PI_OTA_DEBS": str(debs), "PI_OTA_CHECK": " ".join(options)}
    command = [str(EXAMPLE / "mmdebstrap-hook"), str(image.path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_hook_of_mmdebstrap(image: apt_root.AptRoot, debs: Path) -> None:
    done = hook(image, debs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 to mend, 0 to look at"
    assert image.version("pi-hook") is not None
    assert image.version("pi-ota-keyring") == "1"
    assert not (image.path / "pi-ota-debs").exists()
    # A device was made here: the next run of the check refuses it, and so does the hook.
    load_or_create(image.path / "var/lib/pi-hook/identity.json")
    again = hook(image, debs, "--allow-enrollment-token")
    assert again.returncode == 1
    assert "fail  identity    /var/lib/pi-hook/identity.json is of one device" in again.stdout
    (image.path / "var/lib/pi-hook/identity.json").unlink()
    (image.path / "etc/pi-hook/pi-hook.toml").write_text('[enrollment]\ntoken = "pie_x"\n')
    assert "holds an enrollment token" in image.run("pi-hook", "check-image", check=False).stdout
    image.run("pi-hook", "check-image", "--allow-enrollment-token")


def test_the_hook_without_a_package(image: apt_root.AptRoot, debs: Path) -> None:
    next(debs.glob("pi-ota-keyring_*")).unlink()
    done = hook(image, debs)
    assert done.returncode == 1
    assert "has to hold one pi-ota-keyring_*_all.deb" in done.stderr
    assert image.version("pi-hook") is None


def test_the_stage_of_pi_gen(image: apt_root.AptRoot, debs: Path, tmp_path: Path) -> None:
    """Run as pi-gen's build.sh does: packages, then the script outside, then the one inside."""
    stage = tmp_path / "stage"
    shutil.copytree(STAGE, stage)
    outside = {**os.environ, "ROOTFS_DIR": str(image.path)}
    without = subprocess.run(["./01-run.sh"], cwd=stage, env=outside, capture_output=True, text=True, check=False)
    assert without.returncode == 1
    assert "has to hold one pi-hook_*_all.deb" in without.stderr
    for deb in debs.iterdir():
        shutil.copy(deb, stage / "files")
    image.run("apt-get", "update")
    # What reads pins is for Debian on boards; the rest of them the base has.
    packages = [name for name in (stage / "00-packages").read_text().split() if "gpio" not in name]
    image.run("apt-get", "install", "-y", *packages)
    subprocess.run(["./01-run.sh"], cwd=stage, env=outside, check=True)
    with (stage / "01-run-chroot.sh").open() as script:
        # pi-gen: setarch linux32 capsh … --chroot=ROOTFS_DIR -- -e
        done = subprocess.run(
            ["chroot", str(image.path), "bash", "-e"], stdin=script, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 to mend, 0 to look at"
    assert not (image.path / "pi-ota-debs").exists()
