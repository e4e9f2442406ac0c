"""apt alone, in a plain Debian 13 root that knows only the archive key: what was published and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.ports import free_port
from demo.shell import PROJECT, run
from demo.stack import Stack
from demo.vpi.image import base_archive

pytestmark = [pytest.mark.root, pytest.mark.network]

NAME = "sample-assistant"
TOKEN = "a-device-token-of-32-characters!"


@dataclass(frozen=True)
class PlainRoot:
    """A Debian 13 root folder that is entered by chroot; the loopback network is this machine's."""

    path: Path

    def apt(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["chroot", str(self.path), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        """Our packages that dpkg knows in any state, with that state."""
        form = "--showformat=${Package} ${db:Status-Status}\n"
        lines = run(["chroot", self.path, "dpkg-query", "--show", form]).splitlines()
        return dict(line.split() for line in lines if line.startswith(NAME))

    def forget(self) -> None:
        """As before the first `apt-get update`."""
        run(["chroot", self.path, "sh", "-c", "rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("plain"), port=free_port()) as running:
        words = (
            "--version",
            "1.0.0",
            "--notes",
            "Initial release",
            "--urgency",
            "scheduled",
            "--target",
            "trixie/amd64",
        )
        for line in running.release(*words, "--src", str(PROJECT / "examples" / "sample_assistant")):
            print(line)
        yield running


@pytest.fixture(scope="module")
def device(stack: Stack) -> str:
    """A registered device's id; apt needs its credentials."""
    device_id = "01930000-0000-7000-8000-" + uuid.uuid4().hex[:12]
    body = (
        f'{{"id": "{device_id}", "token_sha256": "{hashlib.sha256(TOKEN.encode()).hexdigest()}", "hostname": "plain",'
        f' "timezone": "Etc/UTC", "assistant": "{NAME}", "agent_version": "0.1.0", "debian": "trixie",'
        ' "architecture": "amd64"}'
    )
    headers = {"Authorization": f"Bearer {stack.secret('enrollment_token')}", "Content-Type": "application/json"}
    answer = stack.request("POST", "/api/v1/devices/", body.encode(), headers)
    assert answer.status == 201, answer
    return device_id


@pytest.fixture(scope="module")
def root(stack: Stack, device: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainRoot]:
    path = tmp_path_factory.mktemp("root")
    run(["tar", "--extract", "--file", base_archive(PROJECT / ".cache", print), "--directory", path])
    keyring = stack.pkgbuild("keys", "package", "--output", str(path.parent)).strip()
    run(["dpkg-deb", "--extract", keyring, path])
    for source in (path / "etc/apt").glob("sources.list*/*"):
        source.unlink()
    (path / "etc/apt/sources.list").unlink(missing_ok=True)
    (path / "etc/apt/sources.list.d/pi-ota.sources").write_text(
        f"Types: deb\nURIs: {stack.url}/repo/trixie\nSuites: stable\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/pi-ota-archive-keyring.gpg\n"
    )
    auth = path / "etc/apt/auth.conf.d/pi-ota.conf"
    auth.write_text(f"machine {stack.url}\nlogin {device}\npassword {TOKEN}\n")
    auth.chmod(0o600)
    yield PlainRoot(path)
    run(["rm", "-rf", "--one-file-system", path])


@pytest.fixture
def clean_root(root: PlainRoot) -> PlainRoot:
    root.apt("purge", "--yes", "--autoremove", NAME)
    assert root.installed() == {}, "a purge leaves nothing of ours behind"
    root.forget()
    return root


def published(stack: Stack) -> Path:
    return stack.state / "aptly" / "public" / "trixie"


@contextmanager
def one_byte_changed(*files: Path) -> Iterator[None]:
    """Flip the last bit in the middle of each file, and put the files back afterwards."""
    before = {file: file.read_bytes() for file in dict.fromkeys(path.resolve() for path in files)}
    assert before, "there is nothing to change"
    try:
        for file, data in before.items():
            middle = len(data) // 2
            file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        yield
    finally:
        for file, data in before.items():
            file.write_bytes(data)


def test_apt_installs_the_release_and_its_layers(clean_root: PlainRoot) -> None:
    assert clean_root.apt("-eany", "update").returncode == 0
    done = clean_root.apt("install", "--yes", NAME)
    assert done.returncode == 0, done.stdout
    packages = clean_root.installed()
    assert set(packages.values()) == {"installed"}
    layers = sorted(name.removeprefix(f"{NAME}-").split("-")[0] for name in packages if name != NAME)
    assert layers == ["app", "deps"], packages
    release = clean_root.path / "usr/lib" / NAME / "releases/1.0.0"
    current = clean_root.path / "var/lib" / NAME / "current"
    assert str(current.readlink()) == f"/usr/lib/{NAME}/releases/1.0.0"
    assert (release / "run").stat().st_mode & 0o111
    said = run(["chroot", clean_root.path, f"/var/lib/{NAME}/current/run", "--python", "-c", "print('it runs')"])
    assert said == "it runs\n"


def test_changed_inrelease_is_refused(clean_root: PlainRoot, stack: Stack) -> None:
    with one_byte_changed(published(stack) / "dists/stable/InRelease"):
        update = clean_root.apt("-eany", "update")
        install = clean_root.apt("install", "--yes", NAME)
    assert update.returncode == 100
    assert "not signed" in update.stdout or "invalid" in update.stdout.lower(), update.stdout
    assert install.returncode == 100
    assert clean_root.installed() == {}


def test_changed_packages_index_is_refused(clean_root: PlainRoot, stack: Stack) -> None:
    folder = published(stack) / "dists/stable/main/binary-amd64"
    indexes = [path for path in folder.rglob("*") if path.is_file() and path.name != "Release"]
    assert any(NAME.encode() in _plain(path) for path in indexes)
    with one_byte_changed(*indexes):
        update = clean_root.apt("-eany", "update")
        install = clean_root.apt("install", "--yes", NAME)
    assert update.returncode == 100
    assert "Hash Sum mismatch" in update.stdout or "unexpected size" in update.stdout, update.stdout
    assert install.returncode == 100
    assert clean_root.installed() == {}


@pytest.mark.parametrize("layer", [f"{NAME}_", f"{NAME}-app-", f"{NAME}-deps-"])
def test_changed_deb_is_refused(clean_root: PlainRoot, stack: Stack, layer: str) -> None:
    debs = [path for path in (published(stack) / "pool").rglob("*.deb") if path.name.startswith(layer)]
    assert clean_root.apt("-eany", "update").returncode == 0
    with one_byte_changed(*debs):
        install = clean_root.apt("install", "--yes", NAME)
    assert install.returncode == 100
    assert "Hash Sum mismatch" in install.stdout, install.stdout
    assert clean_root.installed() == {}, "not even the layers that were intact"


def test_repository_is_closed_to_strangers(clean_root: PlainRoot, stack: Stack) -> None:
    (clean_root.path / "etc/apt/auth.conf.d/pi-ota.conf").rename(clean_root.path / "root/away.conf")
    try:
        update = clean_root.apt("-eany", "update")
    finally:
        (clean_root.path / "root/away.conf").rename(clean_root.path / "etc/apt/auth.conf.d/pi-ota.conf")
    assert update.returncode == 100
    assert "401" in update.stdout
    assert stack.request("GET", "/repo/trixie/dists/stable/InRelease").status == 401


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except OSError:
        return data
