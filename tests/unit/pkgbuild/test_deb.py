from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from pkgbuild import control, deb, layers, payload, running
from pkgbuild.control import About, PackageFields, Release, Urgency
from pkgbuild.deb import Documents
from pkgbuild.epoch import LAYER_EPOCH, release_epoch
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.payload import Application, Service
from pkgbuild.targets import Target
from tests.support.aptly import plain_payload

TARGET = Target("bookworm", "amd64")
ABOUT = About("assistant", "A <a@b.example>", None, "MIT")
FIELDS = PackageFields("assistant", "1.0", "amd64", (), "summary", "more", {"Update-Urgency": "urgent"})


def build(tmp_path: Path, name: str = "x", size: int = 100_000) -> Path:
    tree = tmp_path / f"tree-{name}"
    (tree / "usr/lib/assistant").mkdir(parents=True)
    (tree / "usr/lib/assistant/data.bin").write_bytes(bytes(range(256)) * (size // 256))
    documents = Documents("changelog\n", "copyright\n", {"postinst": "#!/bin/sh\nset -e\n"})
    return deb.build(tree, FIELDS, ABOUT, documents, out=tmp_path / name, epoch=LAYER_EPOCH)


def test_what_was_built_reads_back(tmp_path: Path) -> None:
    path = build(tmp_path)
    found = deb.read_back(path, FIELDS)
    assert (found.size, found.sha256) == (path.stat().st_size, deb.sha256(path))
    assert path.name == "assistant_1.0_amd64.deb"
    subprocess.run(["dpkg-deb", "--info", path], check=True, capture_output=True)


@pytest.mark.parametrize("cut", [2, 40, 200, 5000])
def test_package_that_is_cut_off_is_noticed(tmp_path: Path, cut: int) -> None:
    path = build(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: max(len(content) - cut, 8)])
    with pytest.raises(PkgbuildError) as caught:
        deb.read_back(path, FIELDS)
    assert caught.value.kind is Kind.BUILD_FAILED
    assert "is not published" in str(caught.value)


def test_package_with_another_file_than_its_md5sums_say_is_noticed(tmp_path: Path) -> None:
    path = build(tmp_path)
    other = build(tmp_path, "other", size=50_000)
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["ar", "x", other, "data.tar.xz"], cwd=work, check=True)
    subprocess.run(["ar", "r", path, "data.tar.xz"], cwd=work, check=True, capture_output=True)
    with pytest.raises(PkgbuildError, match=r"usr/lib/assistant/data\.bin is not what was packed"):
        deb.read_back(path, FIELDS)


def test_package_with_other_fields_is_noticed(tmp_path: Path) -> None:
    path = build(tmp_path)
    meant = PackageFields("assistant", "1.0", "amd64", (), "summary", "more", {"Update-Urgency": "scheduled"})
    with pytest.raises(PkgbuildError, match="says Update-Urgency: urgent instead of scheduled"):
        deb.read_back(path, meant)


def test_same_payload_gives_the_same_bytes_whatever_the_folder_time_and_umask(tmp_path: Path) -> None:
    digests = []
    for name, mask in (("one", 0o022), ("two", 0o077)):
        before = os.umask(mask)
        try:
            folder = plain_payload(tmp_path / name / "payload")
            for path in folder.rglob("*"):
                os.utime(path, (1_500_000_000 + mask,) * 2)
            source = payload.read(folder)
            release = Release(source.file, "1.0", Urgency.URGENT, "x")
            tree = tmp_path / name / "tree"
            fields, documents = layers.stage_app(
                source, release, TARGET, "0123456789ab", tree=tree, epoch=1_600_000_000, say=print
            )
            app = deb.build(tree, fields, About.of(source.file), documents, out=tmp_path / name, epoch=1_600_000_000)
            fields, documents = layers.stage_service(
                source, release, TARGET, "0123456789ab", tree=tree, epoch=1_600_000_000
            )
            service = deb.build(
                tree, fields, About.of(source.file), documents, out=tmp_path / name, epoch=1_600_000_000
            )
            digests.append((deb.sha256(app), deb.sha256(service)))
        finally:
            os.umask(before)
    assert digests[0] == digests[1]


def listing(path: Path) -> dict[str, str]:
    """name -> mode and owner, as dpkg shows them."""
    text = subprocess.run(["dpkg-deb", "-c", path], check=True, capture_output=True, text=True).stdout
    rows = [line.split(maxsplit=5) for line in text.splitlines()]
    return {row[5].split(" -> ")[0]: f"{row[0]} {row[1]}" for row in rows}


def test_service_package_owns_no_file_of_a_release(tmp_path: Path) -> None:
    source = payload.read(plain_payload(tmp_path / "payload"))
    release = Release(source.file, "1.0", Urgency.URGENT, "x")
    tree = tmp_path / "tree"
    fields, documents = layers.stage_service(source, release, TARGET, None, tree=tree, epoch=0)
    found = listing(deb.build(tree, fields, ABOUT, documents, out=tmp_path, epoch=0))
    files = {name for name, mode in found.items() if mode.startswith("-")}
    assert files == {
        "./lib/systemd/system/tiny-assistant.service",
        "./usr/lib/sysusers.d/tiny-assistant.conf",
        "./usr/share/doc/tiny-assistant/changelog.gz",
        "./usr/share/doc/tiny-assistant/copyright",
        "./usr/share/lintian/overrides/tiny-assistant",
    }
    assert set(found.values()) <= {"drwxr-xr-x root/root", "-rw-r--r-- root/root"}


def test_application_leaves_out_what_is_never_released(tmp_path: Path) -> None:
    folder = plain_payload(tmp_path / "payload")
    for name in ("locks/x.txt", "tests/test_x.py", ".git/config", "tiny/__pycache__/x.pyc", "tiny/locks", ".hidden"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    (folder / "tiny/inside").symlink_to("__init__.py")
    source = payload.read(folder)
    assert isinstance(source.file.payload, Application)
    layers.copy_application(source, source.file.payload, tmp_path / "app")
    found = {str(path.relative_to(tmp_path / "app")) for path in (tmp_path / "app").rglob("*")}
    assert found == {"tiny", "tiny/__init__.py", "tiny/__main__.py", "tiny/locks", "tiny/inside"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "nowhere"])
def test_links_out_of_the_payload_are_refused(tmp_path: Path, target: str) -> None:
    folder = plain_payload(tmp_path / "payload")
    (tmp_path / "outside").write_text("secret")
    (folder / "tiny/link").symlink_to(target)
    source = payload.read(folder)
    assert isinstance(source.file.payload, Application)
    with pytest.raises(PkgbuildError, match="leads out of the payload") as caught:
        layers.copy_application(source, source.file.payload, tmp_path / "app")
    assert caught.value.kind is Kind.BAD_INPUT


def test_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plain_payload(tmp_path / "payload")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("talk.sock")
    source = payload.read(folder)
    assert isinstance(source.file.payload, Application)
    with pytest.raises(PkgbuildError, match="is no ordinary file"):
        layers.copy_application(source, source.file.payload, tmp_path / "app")


def test_release_directory_runs_with_its_own_code_and_wheels_first(tmp_path: Path) -> None:
    """The launcher and the import path, with Debian 12's own Python, moved to a folder of the test."""
    python = Path("/usr/bin/python3.11")
    if not python.exists():
        pytest.skip("needs Debian 12's Python")
    source = payload.read(plain_payload(tmp_path / "payload"))
    (source.folder / "tiny/__main__.py").write_text(
        "import sys, tiny, extra\nprint(tiny.__file__, extra.X, sys.argv)\n"
    )
    release = Release(source.file, "1.0", Urgency.URGENT, "x")
    tree = tmp_path / "tree"
    layers.stage_app(source, release, TARGET, "0123456789ab", tree=tree, epoch=0, say=print)
    home = tree / "usr/lib/tiny-assistant/releases/1.0"
    deps = home / "deps"
    (home.parents[1] / "deps/0123456789ab/linked").mkdir(parents=True)
    (deps / "hello.pth").write_text("linked\n")
    (deps / "linked/extra.py").write_text("X = 'by way of a .pth file'\n")
    (deps / "apt.py").write_text("X = 'not the system one'\n")
    run = home / "run"
    run.write_text(run.read_text().replace("/usr/lib/tiny-assistant/releases/1.0", str(home)))

    def output(*words: str) -> str:
        done = subprocess.run([run, *words], check=True, capture_output=True, text=True, cwd="/", env={"PATH": "/bin"})
        return done.stdout.strip()

    assert output("a b") == f"{home}/app/tiny/__init__.py by way of a .pth file ['{home}/app/tiny/__main__.py', 'a b']"
    assert output("--python", "-c", "import apt; print(apt.X)") == "not the system one"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import extra; print(extra.X)'], check=True)"
    assert output("--python", "-c", child) == "by way of a .pth file"
    assert output("--python", "-c", "import json, os; print(os.environ['PI_OTA_RELEASE_DIR'])") == str(home)


def test_epoch_is_the_given_one_else_the_last_commit_else_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert release_epoch(tmp_path) == LAYER_EPOCH
    repository = tmp_path / "repository"
    (repository / "payload").mkdir(parents=True)
    (repository / "payload/x").write_text("x")
    when = {**os.environ, "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", repository, *words], check=True, env=when)
    assert release_epoch(repository / "payload") == 1_700_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert release_epoch(repository / "payload") == 1_600_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(PkgbuildError, match="SOURCE_DATE_EPOCH"):
        release_epoch(tmp_path)


def test_control_counts_the_installed_size(tmp_path: Path) -> None:
    path = build(tmp_path)
    shown = subprocess.run(["dpkg-deb", "-f", path, "Installed-Size"], check=True, capture_output=True, text=True)
    assert 98 <= int(shown.stdout) <= 115
    assert not list(tmp_path.glob("tree-*"))


def test_templates_are_filled_in_wholly() -> None:
    services = (Service(module="m"), Service(module="m", unit="user"), Service(module="m", unit="user", account="pi"))
    for service in services:
        text = "".join(running.scripts("a", service, "1").values())
        assert "@" not in text.replace("--machine=a@", "").replace("--machine=pi@", "").replace('"$account@"', "")
    for name in ("layer.preinst", "layer.postinst", "layer.prerm"):
        text = control.template(name, PYTHON="/usr/bin/python3", FOLDERS="/usr/lib/a", PACKAGE="a")
        assert "@" not in text.replace('"$@"', "")


def test_scripts_are_posix_shell() -> None:
    shell = shutil.which("dash")
    assert shell
    for path in sorted((Path(deb.__file__).parent / "templates").iterdir()):
        if path.suffix in {".preinst", ".postinst", ".prerm", ".postrm"}:
            assert "set -e\n" in path.read_text()
            subprocess.run([shell, "-n", path], check=True)


def test_overrides_are_read_back_as_they_were_given() -> None:
    given = (
        deb.Override("a reason of " + "many words " * 30 + "in all", ("tag-one usr/lib/x", "tag-two")),
        deb.Override("another", ("tag-three [usr/a: b]",)),
    )
    text = deb._overrides("tiny", (*given, deb._SIGNATURE))
    assert deb.read_overrides(text) == given
    assert deb.read_overrides("") == ()
