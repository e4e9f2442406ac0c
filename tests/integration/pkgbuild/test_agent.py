"""Publishing a newer agent and newer keys, through the real command and aptly."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from pi_hook import __version__
from tests.support.apt_repo import build_deb
from tests.support.aptly import ROOT, BuilderStack, builder_stack


def agent(folder: Path, version: str, content: str = "x", package: str = "pi-hook") -> Path:
    """A small package of that name; ``md5sums`` as debhelper writes it."""
    path = "usr/lib/pi-hook/program"
    digest = hashlib.md5(content.encode()).hexdigest()
    folder.mkdir(exist_ok=True)
    return build_deb(folder, package, version, {path: content}, scripts={"md5sums": f"{digest}  {path}\n"})


def published(stack: BuilderStack, debian: str, channel: str = "stable") -> dict[str, str]:
    listed = stack.packages(debian, "amd64", channel)
    return {name: str(package["SHA256"]) for name, package in listed.items() if name.startswith("pi-")}


def test_an_agent_goes_to_every_debian_release_and_then_as_the_same_bytes_to_another_channel(
    tmp_path: Path, payload: Path
) -> None:
    deb = str(agent(tmp_path / "a", "0.2.0"))
    with builder_stack(targets=("trixie/amd64", "bookworm/amd64")) as stack:
        done = stack.run("agent", deb, "--channel", "beta")
        assert done.status == 0, done.stderr
        assert done.stdout.strip() == "pi-hook 0.2.0 is published on beta (bookworm, trixie)"
        assert done.stderr.count("[1/2]") == done.stderr.count("[2/2]") == 1
        assert published(stack, "trixie", "beta") == published(stack, "bookworm", "beta") != {}
        again = stack.run("agent", deb)
        assert again.status == 0, again.stderr
        assert published(stack, "trixie") == published(stack, "trixie", "beta")
        # A release of the assistant leaves it where it is.
        assert stack.release(payload, "1.0.0").status == 0
        assert published(stack, "trixie") == published(stack, "trixie", "beta")


def test_what_is_published_is_signed_by_the_builder(stack: BuilderStack, tmp_path: Path) -> None:
    keyring = stack.run("keys", "package", "--output", str(tmp_path)).stdout.strip()
    assert stack.run("agent", keyring).status == 0
    assert stack.run("agent", str(agent(tmp_path / "a", "0.2.0"))).status == 0
    for name in ("pi-hook_0.2.0_amd64.deb", "pi-ota-keyring_1_all.deb"):
        (found,) = stack.public.rglob(name)
        assert b"_gpgorigin" in found.read_bytes()


@pytest.mark.parametrize("version", ["0.2.0", "0.1.9"])
def test_a_version_that_is_not_higher_is_refused_and_changes_nothing(
    stack: BuilderStack, tmp_path: Path, version: str
) -> None:
    assert stack.run("agent", str(agent(tmp_path / "a", "0.2.0"))).status == 0
    before = published(stack, "trixie")
    done = stack.run("agent", str(agent(tmp_path / "b", version)))
    assert done.status == 3
    assert "is not higher than 0.2.0" in done.sentence
    assert published(stack, "trixie") == before


def test_a_version_is_never_used_for_two_contents(stack: BuilderStack, tmp_path: Path) -> None:
    assert stack.run("agent", str(agent(tmp_path / "a", "0.2.0")), "--channel", "beta").status == 0
    done = stack.run("agent", str(agent(tmp_path / "b", "0.2.0", content="y")))
    assert done.status == 3
    assert "never used twice" in done.sentence


def test_all_that_a_new_device_needs_is_published_in_one_go_and_only_once(tmp_path: Path) -> None:
    """What ``make release-agent`` does, for a repository that has nothing yet, then for another channel, then again."""
    deb = str(agent(tmp_path / "a", "0.2.0"))
    with builder_stack(targets=("trixie/amd64", "bookworm/arm64")) as stack:
        first = stack.run("agent", deb, "--channel", "beta", "--with-keys")
        assert first.status == 0, first.stderr
        assert first.stdout.splitlines() == [
            "pi-hook 0.2.0 is published on beta (bookworm, trixie)",
            "pi-ota-keyring 1 is published on beta",
        ]
        assert set(published(stack, "trixie", "beta")) == {"pi-hook=0.2.0", "pi-ota-keyring=1"}
        stable = stack.run("agent", deb, "--with-keys", "--channel", "stable")
        assert stable.status == 0, stable.stderr
        assert published(stack, "trixie") == published(stack, "trixie", "beta")
        before = published(stack, "trixie")
        again = stack.run("agent", deb, "--with-keys", "--channel", "stable")
        assert again.stdout.splitlines() == [
            "pi-hook 0.2.0 is published on stable (bookworm, trixie)",
            "pi-ota-keyring 1 was published before",
        ]
        assert published(stack, "trixie") == before
        other = stack.run("agent", str(agent(tmp_path / "b", "0.2.0", content="y")), "--with-keys")
        assert other.status == 3
        assert "with other content" in other.sentence
        lower = stack.run("agent", str(agent(tmp_path / "c", "0.1.9")), "--with-keys")
        assert lower.status == 3
        assert published(stack, "trixie") == before


def test_make_publishes_the_version_of_the_changelog(stack: BuilderStack) -> None:
    """The real target: built, signed and published with the settings that PKGBUILD_CONFIG names."""
    command = ["make", "release-agent", "CHANNEL=beta", "--assume-old=setup", "--assume-old=packages"]
    environment = {**os.environ, "PKGBUILD_CONFIG": str(stack.settings)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(published(stack, "trixie", "beta")) == {f"pi-hook={__version__}", "pi-ota-keyring=1"}


def test_other_packages_and_broken_files_are_refused(stack: BuilderStack, tmp_path: Path) -> None:
    done = stack.run("agent", str(agent(tmp_path / "a", "1", package="sample-assistant")))
    assert done.status == 2
    assert "devices take pi-hook and pi-ota-keyring in this way" in done.sentence
    broken = tmp_path / "pi-hook_1_all.deb"
    broken.write_bytes(b"!<arch>\nnothing")
    done = stack.run("agent", str(broken))
    assert done.status == 2
    assert "not a readable Debian package" in done.sentence
