"""What else a payload can be or bring: ready .deb files, assets, a user unit; by the real command and a real aptly."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apt_repo import build_deb
from tests.support.aptly import BuilderStack, builder_stack, plain_payload

CLASSIC = """\
name = "kitchen"
summary = "a classic assistant"
maintainer = "A <a@b.example>"
packages = ["vendor/*.deb"]
[payload]
kind = "deb"
files = ["dist/*.deb"]
"""


@pytest.fixture
def stack() -> Iterator[BuilderStack]:
    with builder_stack(targets=("trixie/amd64", "bookworm/amd64")) as running:
        text = running.settings.read_text()
        running.settings.write_text('allowed_packages = ["vosk"]\n' + text)
        yield running


def data_of(deb: Path) -> str:
    """The hash of the part with its files."""
    names = subprocess.run(["ar", "t", deb], check=True, capture_output=True, text=True).stdout.split()
    (name,) = [name for name in names if name.startswith("data.tar")]
    return hashlib.sha256(subprocess.run(["ar", "p", deb, name], check=True, capture_output=True).stdout).hexdigest()


def classic(folder: Path, version: str) -> Path:
    for name in ("dist", "vendor"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    files = {"/usr/bin/kitchen": f"#!/bin/sh\necho {version}\n", "/usr/lib/systemd/system/kitchen.service": "[Unit]\n"}
    build_deb(folder / "dist", "kitchen", version, files, control="Depends: vosk\n")
    if not list((folder / "vendor").iterdir()):
        build_deb(folder / "vendor", "vosk", "1:2.0-1", {"/usr/lib/vosk.so": "x"})
    (folder / "release.toml").write_text(CLASSIC)
    return folder


def test_ready_packages_are_published_as_they_are(stack: BuilderStack, tmp_path: Path) -> None:
    source = classic(tmp_path / "payload", "1.0.0")
    first = stack.release(source, "1.0.0", "--json", urgency="urgent")
    assert first.status == 0, first.stderr
    assert {(row["package"], row["debian"]) for row in first.json["packages"]} == {
        (package, debian) for package in ("kitchen", "vosk") for debian in ("trixie", "bookworm")
    }
    index = stack.packages("trixie", "amd64")
    assert index["kitchen=1.0.0"]["Update-Urgency"] == "urgent"
    assert index["kitchen=1.0.0"]["Upgrade-Requires"] == "app-restart"
    assert index["vosk=1:2.0-1"]["Filename"].endswith("/vosk_2.0-1_amd64.deb")
    assert "Update-Urgency" not in index["vosk=1:2.0-1"]
    for package, folder in (("kitchen=1.0.0", "dist"), ("vosk=1:2.0-1", "vendor")):
        (given,) = (source / folder).glob("*.deb")
        assert data_of(stack.public / "trixie" / index[package]["Filename"]) == data_of(given)
    trusted = stack.run("keys", "package", "--output", str(tmp_path))
    subprocess.run(["dpkg-deb", "-x", trusted.stdout.strip(), tmp_path / "device"], check=True)
    assert (tmp_path / "device/usr/share/pi-ota/packages").read_text() == "vosk\n"
    for deb in stack.public.rglob("*.deb"):
        device = tmp_path / "device"
        words = [
            "--keyrings-dir",
            device / "usr/share/debsig/keyrings",
            "--policies-dir",
            device / "etc/debsig/policies",
        ]
        subprocess.run(["debsig-verify", "-q", *map(str, words), deb], check=True)

    (source / "dist/kitchen_1.0.0_amd64.deb").unlink()
    second = stack.release(classic(source, "1.1.0"), "1.1.0", "--json")
    assert second.status == 0, second.stderr
    before, after = (
        {(row["debian"], row["sha256"]) for row in run.json["packages"] if row["package"] == "vosk"}
        for run in (first, second)
    )
    assert before == after, "the third party's package is not uploaded again"
    assert second.json["uploaded_bytes"] < first.json["uploaded_bytes"]

    (source / "vendor/vosk_1:2.0-1_amd64.deb").unlink()
    build_deb(source / "vendor", "vosk", "1:2.0-1", {"/usr/lib/vosk.so": "other"})
    (source / "dist/kitchen_1.1.0_amd64.deb").unlink()
    clash = stack.release(classic(source, "1.2.0"), "1.2.0")
    assert clash.status == 3
    assert "vosk 1:2.0-1 is published for trixie with other content" in clash.sentence
    assert "kitchen=1.2.0" not in stack.packages("trixie", "amd64")


def test_a_ready_package_is_published_apart_from_any_release(stack: BuilderStack, tmp_path: Path) -> None:
    first = build_deb(tmp_path, "vosk", "2.0", {"/usr/lib/vosk.so": "x"})
    done = stack.run("deb", str(first), "--debian", "trixie", "--channel", "beta")
    assert (done.status, done.stdout) == (0, "vosk 2.0 is published on beta (trixie)\n"), done.stderr
    again = stack.run("deb", str(first), "--json")
    assert again.status == 0, again.stderr
    assert again.json["debians"] == ["bookworm", "trixie"]
    beta, stable = (stack.packages("trixie", "amd64", channel)["vosk=2.0"]["SHA256"] for channel in ("beta", "stable"))
    assert beta == stable == stack.packages("bookworm", "amd64")["vosk=2.0"]["SHA256"]
    lower = stack.run("deb", str(build_deb(tmp_path, "vosk", "1.9", {"/usr/lib/vosk.so": "x"})))
    assert lower.status == 3
    assert "vosk 1.9 is lower than 2.0, which is published on stable of bookworm" in lower.sentence
    other = stack.run("deb", str(build_deb(tmp_path, "bash", "99", {"/bin/bash": "x"})))
    assert other.status == 2
    assert "add it to `allowed_packages` in the settings" in other.sentence
    nowhere = stack.run("deb", str(first), "--debian", "sid")
    assert nowhere.status == 2
    assert "no target of sid: use bookworm, trixie" in nowhere.sentence


def test_assets_are_uploaded_once_for_all_targets_and_releases(stack: BuilderStack, tmp_path: Path) -> None:
    source = plain_payload(tmp_path / "payload", more='[[assets]]\nname = "voice"\nfolder = "voice"\n')
    (source / "voice").mkdir()
    (source / "voice/en.onnx").write_bytes(os.urandom(200_000))
    runs = [stack.release(source, version, "--json") for version in ("1.0.0", "1.1.0")]
    assert [run.status for run in runs] == [0, 0], runs[-1].stderr
    rows = [[row for row in run.json["packages"] if "-asset-" in row["package"]] for run in runs]
    assert rows[0] == rows[1]
    assert {row["debian"] for row in rows[0]} == {"trixie", "bookworm"}
    assert len({row["sha256"] for row in rows[0]}) == 1
    assert runs[1].json["uploaded_bytes"] < rows[0][0]["size"] < runs[0].json["uploaded_bytes"]
    (key,) = [key for key in stack.packages("trixie", "amd64") if "-asset-" in key]
    assert key.removesuffix("=1") in stack.packages("trixie", "amd64")["tiny-assistant=1.1.0"]["Depends"]


def test_a_user_unit_is_enabled_for_its_account(stack: BuilderStack, tmp_path: Path) -> None:
    source = plain_payload(tmp_path / "payload")
    toml = source / "release.toml"
    toml.write_text(toml.read_text() + 'unit = "user"\ngroups = ["audio"]\n')
    outcome = stack.release(source, "1.0.0")
    assert outcome.status == 0, outcome.stderr
    entry = stack.packages("bookworm", "amd64")["tiny-assistant=1.0.0"]
    assert "dbus-user-session" in entry["Depends"]
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-x", stack.public / "bookworm" / entry["Filename"], tree], check=True)
    unit = (tree / "usr/lib/systemd/user/tiny-assistant.service").read_text()
    assert "ConditionUser=tiny-assistant\n" in unit
    assert (tree / "usr/lib/sysusers.d/tiny-assistant.conf").read_text().endswith("m tiny-assistant audio\n")
    assert not (tree / "lib").exists()
