"""What the onboarding script refuses, and with which words: in a Debian system, against a real server.

That it does what it promises is tried in tests/onboarding/booted.py, on a system that is booted.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from demo.ports import free_port
from repo_server import onboarding
from tests.onboarding.fleet import PACKAGES
from tests.support.apt_repo import build_deb
from tests.support.apt_root import AptRoot, is_root, made
from tests.support.server import RunningServer

pytestmark = [pytest.mark.root, pytest.mark.network, pytest.mark.skipif(not is_root(), reason="needs root")]

FILE = Path(onboarding.__file__).with_name("pi.sh")
OTHER = "https://elsewhere.example.org"


@dataclass
class Pi:
    """A system that looks as if it ran."""

    root: AptRoot
    server: str
    token: str

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root.path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def program(self, name: str, lines: str) -> None:
        """In the place of one of the system's."""
        self.write(f"/usr/local/bin/{name}", f"#!/bin/sh\n{lines}\n", 0o755)

    def onboard(self, *words: str, **options: str) -> subprocess.CompletedProcess[str]:
        """Run the script as the line does, from standard input; ``options`` take the place of the usual ones."""
        given = {"token": self.token, "assistant": "sample-assistant", "server": self.server} | options
        named = [word for name, value in given.items() if value for word in (f"--{name}", value)]
        return subprocess.run(
            ["chroot", self.root.path, "sh", "-s", "--", *(words or named)],
            input=FILE.read_text(),
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )

    def refuses(self, *words: str, **options: str) -> str:
        """Its sentence; nothing of apt has run by then, and nothing has changed."""
        self.program("apt-get", "touch /apt-ran")
        before = sorted(self.root.upper.rglob("*"))
        done = self.onboard(*words, **options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stdout == ""
        assert sorted(self.root.upper.rglob("*")) == before
        assert done.stderr.startswith("pi-ota: ")
        return done.stderr.removeprefix("pi-ota: ").rstrip("\n")


@contextmanager
def system(work: Path, server: RunningServer) -> Iterator[Pi]:
    with AptRoot((made("pi-trixie", "trixie", PACKAGES),), work) as root:
        (root.path / "run/systemd/system").mkdir(parents=True)
        yield Pi(root, server.url, server.secrets["enrollment_token"])


@pytest.fixture
def pi(tmp_path: Path, server: RunningServer) -> Iterator[Pi]:
    with system(tmp_path / "pi", server) as made_now:
        yield made_now


@pytest.fixture(scope="module", autouse=True)
def keys(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A keyring package is published, for one channel."""
    root = server.repository / "trixie"
    deb = build_deb(
        tmp_path_factory.mktemp("deb"), "pi-ota-keyring", "1", {"usr/share/keyrings/pi-ota-archive-keyring.gpg": "keys"}
    )
    place = root / "pool/main/p/pi-ota-keyring" / deb.name
    place.parent.mkdir(parents=True)
    place.write_bytes(deb.read_bytes())
    index = root / "dists/stable/main/binary-arm64/Packages"
    index.parent.mkdir(parents=True)
    index.write_text(f"Package: pi-ota-keyring\nVersion: 1\nFilename: {place.relative_to(root)}\n")
    (root / "dists/stable/InRelease").write_text("signed")


def test_not_root(pi: Pi) -> None:
    pi.program("id", "echo 1000")
    assert pi.refuses() == "this is for root: put sudo before sh"


def test_no_apt(pi: Pi) -> None:
    (pi.root.path / "usr/bin/dpkg").unlink()
    assert pi.refuses().startswith("there is no apt here")


@pytest.mark.parametrize("words", ["ID=ubuntu\nVERSION_CODENAME=noble", "ID=debian\nVERSION_CODENAME=bullseye", ""])
def test_another_system(pi: Pi, words: str) -> None:
    pi.write("/etc/os-release", words)
    assert "pi-ota is for Debian 12 (bookworm) and 13 (trixie)" in pi.refuses()


def test_an_image_is_no_pi_that_runs(pi: Pi) -> None:
    (pi.root.path / "run/systemd/system").rmdir()
    assert "systemd does not run here" in pi.refuses()


def test_a_read_only_root(pi: Pi) -> None:
    (pi.root.path / "apt-ran").touch()
    subprocess.run(["mount", "-o", "remount,ro", pi.root.path], check=True)
    done = pi.onboard()
    subprocess.run(["mount", "-o", "remount,rw", pi.root.path], check=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the root file system is read-only" in done.stderr


def test_an_overlay_in_memory(server: RunningServer) -> None:
    with TemporaryDirectory(prefix="pi-ota-", dir="/run") as folder, system(Path(folder, "pi"), server) as pi:
        assert "raspi-config nonint disable_overlayfs" in pi.refuses()


def test_no_tls(pi: Pi) -> None:
    assert "has no TLS" in pi.refuses(server="http://updates.example.org")
    assert "has no TLS" in pi.refuses(server="http://127.0.0.1.example.org")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"assistant": ""}, "name the assistant's package"),
        ({"assistant": "voice\nevil"}, "cannot be the name of a Debian package"),
        ({"assistant": 'voice"'}, "cannot be the name of a Debian package"),
        ({"channel": "a b"}, "cannot be the name of a channel"),
        ({"gpio": "17;27"}, "--gpio takes BCM numbers"),
        ({"timezone": "Berlin'"}, "is not a time zone"),
        ({"server": "https://a/b"}, "is not https://HOST"),
        ({"server": 'https://a"b'}, "is not https://HOST"),
        ({"token": "a b"}, "this is no enrollment token"),
    ],
)
def test_an_option_that_could_be_more_than_a_word(pi: Pi, options: dict[str, str], words: str) -> None:
    assert words in pi.refuses(**options)


def test_options_that_are_none(pi: Pi) -> None:
    assert pi.refuses("--tokn", "x") == "--tokn is no option; --help lists them"
    assert pi.refuses("--token") == "--token takes a value; --help lists the options"
    assert pi.refuses("--all") == "--all belongs to --undo"


def test_without_a_token_and_a_terminal(pi: Pi) -> None:
    assert "an enrollment token is needed" in pi.refuses(token="")


def test_a_wrong_token(pi: Pi) -> None:
    words = pi.refuses(token="pie_guessed")
    assert words.startswith("the server does not take this token: this enrollment token is not known, or was revoked")
    assert "`repo-server enroll-token create`" in words


def test_a_token_from_a_file(pi: Pi) -> None:
    pi.write("/root/token", "pie_guessed\n", 0o600)
    words = pi.refuses(**{"token": "", "token-file": "/root/token"})
    assert words.startswith("the server does not take this token")


def test_no_server(pi: Pi) -> None:
    words = pi.refuses(server=f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached: curl: (7)" in words


def test_nothing_on_the_channel(pi: Pi) -> None:
    words = pi.refuses(channel="beta")
    assert words.startswith("nothing is published for Debian trixie on the channel beta")
    assert words.endswith("make release-agent CHANNEL=beta")


def test_nothing_published_at_all(pi: Pi, server: RunningServer) -> None:
    hidden = server.repository.rename(server.repository.with_name("hidden"))
    server.repository.mkdir()
    try:
        assert "`make release-agent`" in pi.refuses()
    finally:
        server.repository.rmdir()
        hidden.rename(server.repository)


def test_a_clock_that_is_years_off(pi: Pi) -> None:
    pi.program("date", '[ "$*" = +%s ] && echo 1000 || exec /bin/date "$@"')
    assert "this Pi's clock says" in pi.refuses()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/apt/sources.list.d/pi-ota.sources", f"Types: deb\nURIs: {OTHER}/repo/trixie\n"),
        ("/etc/pi-hook/pi-hook.toml", f'[server]\nurl = "{OTHER}"\n'),
        ("/etc/pi-hook/pi-hook.d/boot.toml", f'[server]\nurl = "{OTHER}/"\n'),
    ],
)
def test_a_device_of_another_server(pi: Pi, path: str, text: str) -> None:
    pi.write(path, text)
    words = pi.refuses()
    assert words.startswith(f"this Pi belongs to {OTHER}")
    assert "--undo" in words


def test_no_curl(pi: Pi) -> None:
    (pi.root.path / "usr/bin/curl").unlink()
    assert pi.refuses() == "curl is missing: apt-get install curl ca-certificates"


def test_nothing_is_there_to_be_undone(pi: Pi) -> None:
    done = pi.onboard("--undo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "pi-ota: there is nothing of pi-ota here; nothing was changed\n"


def test_what_an_installation_by_hand_has_left_is_taken_away(pi: Pi) -> None:
    left = [
        "etc/apt/sources.list.d/pi-ota-bootstrap.sources",
        "etc/apt/auth.conf.d/pi-ota-bootstrap.conf",
        "etc/apt/preferences.d/pi-ota-bootstrap",
        "usr/share/keyrings/pi-ota-archive-keyring.gpg",
        "etc/pi-hook/pi-hook.toml",
    ]
    for path in left:
        pi.write(path, "x")
    done = pi.onboard("--undo")
    assert done.returncode == 0, done.stderr
    assert [path for path in left if os.path.lexists(pi.root.path / path)] == []


def test_help_needs_no_root(pi: Pi) -> None:
    pi.program("id", "echo 1000")
    done = pi.onboard("--help")
    assert done.returncode == 0
    assert "--token-file FILE" in done.stdout
