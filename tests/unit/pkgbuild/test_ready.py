"""Ready .deb files: read, checked against each other, stamped and signed; real dpkg-deb, debsigs and debsig-verify."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pkgbuild import deb, keys, payload, ready, signing
from pkgbuild.control import Release, Urgency
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.signing import Signer
from pkgbuild.targets import Target
from tests.support.apt_repo import build_deb

TARGET = Target("trixie", "amd64")
TOML = """\
name = "kitchen"
summary = "an assistant"
maintainer = "A <a@b.example>"
minimum_agent = "0.1"
[payload]
kind = "deb"
files = ["dist/*.deb"]
"""


def build(folder: Path, package: str = "kitchen", version: str = "1.2.0", **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return build_deb(folder, package, version, {f"/usr/share/{package}/{name}": text for name, text in files.items()})


@pytest.fixture
def release(tmp_path: Path) -> Release:
    (tmp_path / "release.toml").write_text(TOML)
    return Release(payload.read(tmp_path).file, "1.2.0", Urgency.URGENT, "Louder")


def refusal(path: Path) -> str:
    with pytest.raises(PkgbuildError) as caught:
        ready.read(path)
    assert caught.value.kind is Kind.BAD_INPUT
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_a_package_says_of_itself(tmp_path: Path) -> None:
    one = ready.read(build(tmp_path, "vosk", "1:2.0-1", model="x"))
    assert (one.package, one.fields.version, one.fields.architecture) == ("vosk", "1:2.0-1", "amd64")
    assert one.fields.file_name == "vosk_2.0-1_amd64.deb"
    assert one.paths == {"usr/share/vosk/model"}


@pytest.mark.parametrize("kept", [0, 8, 100, 0.5, 0.9])
def test_one_that_is_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    path = build(tmp_path, model="".join(map(str, range(20_000))))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    assert "is not a readable Debian package" in refusal(path)


def test_one_whose_files_are_not_what_its_md5sums_say(tmp_path: Path) -> None:
    path = build(tmp_path, a="x")
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", path, tree], check=True)
    (tree / "DEBIAN/md5sums").write_text(f"{'0' * 32}  usr/share/kitchen/a\n")
    subprocess.run(["dpkg-deb", "-Zgzip", "-b", tree, path], check=True, capture_output=True)
    assert "usr/share/kitchen/a is not what its md5sums say" in refusal(path)


def test_one_that_the_signature_would_not_cover(tmp_path: Path) -> None:
    path = build(tmp_path, a="x")
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", path, tree], check=True)
    subprocess.run(["dpkg-deb", "-Zzstd", "-b", tree, path], check=True, capture_output=True)
    assert "compressed in a way that debsigs of Debian 12 leaves out" in refusal(path)


def test_one_for_another_kind_of_machine(tmp_path: Path) -> None:
    path = build(tmp_path, a="x")
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", path, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("amd64", "riscv64"))
    subprocess.run(["dpkg-deb", "-Zgzip", "-b", tree, path], check=True, capture_output=True)
    assert "is for riscv64: use all, amd64, arm64, armhf" in refusal(path)


def test_files_are_found_by_debian_release_and_architecture(tmp_path: Path) -> None:
    for debian in ("trixie", "bookworm"):
        build(tmp_path / f"debs/{debian}", "vosk", f"1.0+{debian}", model=debian)
    patterns = ("debs/{debian}/*.deb",)
    for debian in ("trixie", "bookworm"):
        (one,) = ready.find(tmp_path, patterns, Target(debian, "amd64"))
        assert one.fields.version == f"1.0+{debian}"
    assert ready.find(tmp_path, patterns, Target("trixie", "arm64")) == []
    with pytest.raises(PkgbuildError, match=r"names other/\*\.deb, and .* has no such file for trixie/amd64"):
        ready.find(tmp_path, ("other/*.deb",), TARGET)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    for version in ("1", "2"):
        build(tmp_path, "vosk", version, a="x")
    with pytest.raises(PkgbuildError, match=r"vosk_1_amd64\.deb and vosk_2_amd64\.deb are both vosk"):
        ready.find(tmp_path, ("*.deb",), TARGET)


def test_two_that_bring_the_same_file_are_refused(tmp_path: Path) -> None:
    for package in ("vosk", "vosk-extra"):
        build_deb(tmp_path, package, "1", {"/usr/lib/vosk.so": package})
    with pytest.raises(PkgbuildError, match=r"vosk and vosk-extra both bring /usr/lib/vosk\.so"):
        ready.find(tmp_path, ("*.deb",), TARGET)


def test_only_what_devices_take_is_allowed(tmp_path: Path) -> None:
    debs = [ready.read(build(tmp_path, "vosk", "1", a="x"))]
    ready.check_allowed(debs, {"vosk"})
    with pytest.raises(PkgbuildError, match=r"add it to `allowed_packages` in the settings") as caught:
        ready.check_allowed(debs, {"kitchen"})
    assert caught.value.kind is Kind.BAD_INPUT


def test_the_assistant_has_to_be_among_them_at_the_released_version(tmp_path: Path, release: Release) -> None:
    vosk = ready.read(build(tmp_path, "vosk", "1", a="x"))
    own = ready.read(build(tmp_path, a="x"))
    assert ready.of_release([vosk, own], release, TARGET) is own
    with pytest.raises(PkgbuildError, match=r"No file of the payload is kitchen for trixie/amd64 \(there: vosk\)"):
        ready.of_release([vosk], release, TARGET)
    other = ready.read(build(tmp_path, version="1.1.0", a="x"))
    with pytest.raises(PkgbuildError, match=r"is version 1\.1\.0, and 1\.2\.0 is released.* VERSION=1\.1\.0"):
        ready.of_release([other], release, TARGET)


def members(path: Path) -> dict[str, bytes]:
    names = subprocess.run(["ar", "t", path], check=True, capture_output=True, text=True).stdout.split()
    return {name: subprocess.run(["ar", "p", path, name], check=True, capture_output=True).stdout for name in names}


def test_the_assistant_gets_its_update_fields_and_nothing_else_changes(tmp_path: Path, release: Release) -> None:
    source = build_deb(
        tmp_path,
        "kitchen",
        "1.2.0",
        {"/etc/kitchen.conf": "x", "/usr/bin/kitchen": "#!/bin/sh\n"},
        scripts={"postinst": "#!/bin/sh\nset -e\n", "conffiles": "/etc/kitchen.conf\n"},
    )
    own = ready.read(source)
    before = members(source)
    stamped = ready.stamped(own, release, tmp_path / "out")
    again = ready.stamped(own, release, tmp_path / "again")
    assert stamped.path.read_bytes() == again.path.read_bytes()
    after = members(stamped.path)
    assert after["data.tar.gz"] == before["data.tar.gz"]
    assert list(after) == ["debian-binary", "control.tar.xz", "data.tar.gz"]
    fields = subprocess.run(["dpkg-deb", "-f", stamped.path], check=True, capture_output=True, text=True).stdout
    for line in (
        "Update-Urgency: urgent",
        "Update-Notes: Louder",
        "Update-Minimum-Agent: 0.1",
        "Description: a sample",
    ):
        assert line in fields.splitlines()
    listed = [
        subprocess.run(["dpkg-deb", "--ctrl-tarfile", path], check=True, capture_output=True).stdout
        for path in (source, stamped.path)
    ]
    names = [
        subprocess.run(["tar", "tv", "--exclude=./control"], input=tar, check=True, capture_output=True).stdout
        for tar in listed
    ]
    assert names[0] == names[1]
    assert ready.stamped(stamped, release, tmp_path / "third") is stamped


def test_an_assistant_that_says_something_else_of_the_update_is_refused(tmp_path: Path, release: Release) -> None:
    control = "Update-Urgency: scheduled\n"
    own = ready.read(build_deb(tmp_path, "kitchen", "1.2.0", {"/usr/bin/k": "x"}, control=control))
    with pytest.raises(PkgbuildError, match="says Update-Urgency: scheduled, and the release urgent") as caught:
        ready.stamped(own, release, tmp_path / "out")
    assert caught.value.kind is Kind.BAD_INPUT


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    home = Path("/tmp") / tmp_path_factory.mktemp("k").name  # gpg's socket needs a short path
    try:
        with keys.no_agent_left_behind(home):
            yield Signer(
                keys.create(home, whose="builder"),
                tmp_path_factory.mktemp("cache") / "release",
            )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_it_is_signed_once_and_for_all(tmp_path: Path, signer: Signer) -> None:
    one = ready.read(build(tmp_path, "vosk", "1", a="x"))
    built = [ready.signed(one, signer.lasting(), tmp_path / name) for name in ("a", "b")]
    assert built[0].sha256 == built[1].sha256 != deb.sha256(one.path)
    signer.forget()
    assert ready.signed(one, signer.lasting(), tmp_path / "c").sha256 == built[0].sha256
    unsigned = tmp_path / "unsigned.deb"
    shutil.copy(built[0].path, unsigned)
    subprocess.run(["ar", "d", unsigned, signing.MEMBER], check=True)
    assert members(unsigned) == members(one.path)


def test_somebody_elses_signature_is_taken_off(tmp_path: Path, signer: Signer) -> None:
    path = build(tmp_path, "vosk", "1", a="x")
    (tmp_path / signing.MEMBER).write_text("not ours")
    subprocess.run(["ar", "q", path.name, signing.MEMBER], cwd=tmp_path, check=True)
    built = ready.signed(ready.read(path), signer, tmp_path / "out")
    signer.verify(built.path)
    assert list(members(built.path)).count(signing.MEMBER) == 1
