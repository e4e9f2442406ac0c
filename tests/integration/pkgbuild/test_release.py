"""Releases that succeed, through the real command, aptly, gpg and repo_server."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from demo.observe import until
from demo.ports import free_port
from pkgbuild import config
from pkgbuild.aptly import Aptly
from tests.support.aptly import SAMPLE, BuilderStack, builder_stack, plain_payload
from tests.support.server import running_server


@pytest.mark.network
@pytest.mark.parametrize("transport", ["socket", "tcp"])
def test_two_releases_of_the_sample_assistant(tmp_path: Path, transport: str) -> None:
    source = tmp_path / "sample"
    shutil.copytree(SAMPLE, source)
    url = [] if transport == "socket" else ["--aptly-url", f"http://127.0.0.1:{free_port()}"]
    with running_server(tmp_path) as server:
        key_file = tmp_path / "key"
        key_file.write_text(server.key("builder"))
        options = [*url, "--server-url", server.url, "--api-key-file", str(key_file)]
        with builder_stack(options=options, targets=("trixie/amd64", "trixie/arm64")) as stack:
            first = stack.release(source, "1.0.0", "--json")
            assert first.status == 0, first.stderr
            steps = [line.split("]")[0] for line in first.stderr.splitlines() if line.startswith("[")]
            assert steps == [f"[{number}/6" for number in range(1, 7)]
            layers = layer_files(stack)

            second = stack.release(source, "1.1.0", "--json", urgency="urgent")
            assert second.status == 0, second.stderr
            assert "is already in the repository" in second.stderr
            assert layer_files(stack) == layers
            assert deps_rows(first.json) == deps_rows(second.json)
            assert second.json["uploaded_bytes"] < sum(package["size"] for package in second.json["packages"]) / 2

            index = stack.packages("trixie", "arm64")
            newest = index["sample-assistant=1.1.0"]
            assert newest["Update-Urgency"] == "urgent"
            assert newest["Update-Notes"] == "Version 1.1.0"
            assert newest["Upgrade-Requires"] == "app-restart"
            assert "sample-assistant-app-1.1.0 (= 1.1.0)" in newest["Depends"]
            assert index["sample-assistant=1.0.0"]["Update-Urgency"] == "scheduled"
            assert_trusted(stack, tmp_path)

        listed = server.request("GET", "/api/v1/updates/", key=server.key("viewer")).json["items"]
        assert {(item["version"], item["urgency"], item["id"]) for item in listed} == {
            ("1.0.0", "scheduled", first.json["update_id"]),
            ("1.1.0", "urgent", second.json["update_id"]),
        }


def deps_rows(summary: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    return [row for row in summary["packages"] if "-deps-" in row["package"]]


def layer_files(stack: BuilderStack) -> dict[str, str]:
    found = {name: digest for name, digest in stack.tree().items() if "-deps-" in name}
    assert len(found) == 2
    return found


def assert_trusted(stack: BuilderStack, tmp_path: Path) -> None:
    """As a device checks, from the keyring package alone: archive key on InRelease, builder key in each package."""
    built = stack.run("keys", "package", "--output", str(tmp_path))
    assert built.status == 0, built.stderr
    root = tmp_path / "device"
    subprocess.run(["dpkg-deb", "-x", built.stdout.strip(), str(root)], check=True)
    keyring = root / "usr/share/keyrings/pi-ota-archive-keyring.gpg"
    assert keyring.stat().st_mode & 0o777 == 0o644
    release = stack.public / "trixie/dists/stable/InRelease"
    subprocess.run(["gpgv", "--keyring", str(keyring), str(release)], check=True, capture_output=True)
    text = release.read_text()
    for field in ("Origin: pi-ota", "Label: pi-ota", "Suite: stable", "Acquire-By-Hash: yes"):
        assert field in text
    assert "Architectures: amd64 arm64 armhf" in text
    trust: list[str | Path] = [
        "--keyrings-dir",
        root / "usr/share/debsig/keyrings",
        "--policies-dir",
        root / "etc/debsig/policies",
    ]
    debs = sorted(stack.public.rglob("*.deb"))
    assert debs
    for deb in debs:
        subprocess.run(["debsig-verify", "-q", *trust, deb], check=True)


def test_a_release_needs_no_server(stack: BuilderStack, payload: Path) -> None:
    outcome = stack.release(payload, "1.0.0", "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.json["update_id"] is None
    assert "not announced: the settings name no server" in outcome.stderr
    shown = stack.run("show", "tiny-assistant", "--json").json
    assert [(row["version"], row["architecture"]) for row in shown] == [("1.0.0", "amd64")]


def test_what_is_published_is_signed_anew_and_stays_what_it_is(stack: BuilderStack, payload: Path) -> None:
    assert stack.run("resign").stdout == "signed anew: nothing is published yet\n"
    assert stack.release(payload, "1.0.0").status == 0
    dist = stack.public / "trixie" / "dists" / "stable"
    before, signed = stack.tree(), (dist / "InRelease").read_bytes()
    second = int((dist / "InRelease").stat().st_mtime)
    until("the next second", lambda: int(time.time()) > second, 5)  # within one the signature would be the same
    done = stack.run("resign", "--json")
    assert (done.status, done.json) == (0, ["trixie/stable"]), done.stderr
    assert (dist / "InRelease").read_bytes() != signed
    changed = {name for name, content in stack.tree().items() if before.get(name) != content}
    assert {Path(name).name for name in changed} <= {"InRelease", "Release", "Release.gpg"}
    assert set(stack.tree()) == set(before)
    assert stack.release(payload, "1.1.0").status == 0


def test_two_debian_releases_get_a_prefix_each_with_their_own_python(payload: Path) -> None:
    with builder_stack(targets=("trixie/arm64", "bookworm/arm64")) as stack:
        outcome = stack.release(payload, "1.0.0")
        assert outcome.status == 0, outcome.stderr
        for debian, python in (("trixie", "python3.13"), ("bookworm", "python3.11")):
            assert stack.packages(debian, "arm64")["tiny-assistant-app-1.0.0=1.0.0"]["Depends"] == python


def test_a_second_channel_takes_layers_over_but_never_a_used_version(stack: BuilderStack, payload: Path) -> None:
    assert stack.release(payload, "1.0.0").status == 0
    again = stack.release(payload, "1.0.0", "--channel", "beta")
    assert again.status == 3
    assert "a version is never used twice" in again.sentence
    assert stack.release(payload, "1.1.0", "--channel", "beta").status == 0
    assert set(stack.packages("trixie", "amd64", "beta")) == {"tiny-assistant=1.1.0", "tiny-assistant-app-1.1.0=1.1.0"}
    assert "tiny-assistant=1.1.0" not in stack.packages("trixie", "amd64")


def test_two_assistants_share_a_channel(stack: BuilderStack, payload: Path, tmp_path: Path) -> None:
    other = plain_payload(tmp_path / "other", "other-assistant")
    assert stack.release(payload, "2.0.0").status == 0
    assert stack.release(other, "1.0.0").status == 0
    names = {key.split("=")[0] for key in stack.packages("trixie", "amd64")}
    assert {"tiny-assistant", "other-assistant"} <= names


def test_init_changes_nothing_that_is_there(stack: BuilderStack) -> None:
    def state() -> dict[str, str]:
        files = [stack.settings, stack.state / "aptly.conf", *sorted((stack.state / "keys").rglob("*.key"))]
        assert len(files) == 4
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = state()
    assert stack.run("init", "--state", str(stack.state), "--server-url", "http://127.0.0.1:1").status == 0
    assert state() == before


def test_files_are_published_under_their_debian_names(stack: BuilderStack, payload: Path) -> None:
    assert stack.release(payload, "1.0.0~rc1+b").status == 0
    names = {path.name for path in stack.public.rglob("*.deb")}
    assert names == {
        "tiny-assistant_1.0.0~rc1+b_amd64.deb",
        "tiny-assistant-app-1.0.0+trc1++b_1.0.0~rc1+b_amd64.deb",
    }
    assert all(re.fullmatch(r"[a-z0-9.+~_-]+", name) for name in names)


def test_aptly_keeps_its_database_open_while_it_is_busy(stack: BuilderStack) -> None:
    current = stack.state / "aptly/db/CURRENT"  # opening it begins a new log of its changes

    with closing(Aptly.of(config.load(stack.settings))) as aptly:

        def opens() -> bool:
            before = current.read_text()
            aptly.repositories()
            return current.read_text() != before

        assert opens()
        with aptly.busy():
            until("aptly has the lasting call", lambda: not opens(), 10)
            assert not any(opens() for _ in range(5))
            aptly.create_repository("x")
            assert not opens()
        until("aptly is idle", opens, 10)
        assert aptly.repositories() == {"x"}


def test_a_snapshot_tells_what_it_has_gained(stack: BuilderStack, payload: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        assert stack.release(payload, version).status == 0
    with closing(Aptly.of(config.load(stack.settings))) as aptly:
        before, after = sorted(aptly.snapshots())
        gained = aptly.gained(after, before)
        assert {one.package for one in gained} == {"tiny-assistant", "tiny-assistant-app-1.1.0"}
        assert {one.sha256 for one in gained} <= set(stack.tree().values())
        assert aptly.gained(before, after) == []


def test_published_files_that_nothing_needs_go_once_something_is_taken_out(stack: BuilderStack, payload: Path) -> None:
    assert stack.release(payload, "1.0.0").status == 0
    left = stack.public / "trixie/pool/main/x/x/x_1_all.deb"
    left.parent.mkdir(parents=True)
    left.write_text("")
    assert stack.release(payload, "1.1.0").status == 0
    assert left.exists()
    assert stack.run("withdraw", "tiny-assistant", "1.0.0").status == 0
    assert not left.exists()
    assert len([name for name in stack.tree() if name.endswith(".deb")]) == 2
