"""The line that the server shows, on a Pi that runs: twice, and taken back. For ``make check-onboarding``.

Everything is real: the page, TLS, the repository that aptly publishes, systemd, Debian's mirror.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.onboarding.fleet import Fleet, fleet, pi, publish, whole_pi
from tests.support.apt_repo import Keys
from tests.support.apt_root import SUITES, is_root
from tests.support.booted import Booted, booted
from tests.unit.docs.documents import ROOT, blocks

pytestmark = [pytest.mark.skipif(not is_root(), reason="needs root"), pytest.mark.timeout(1200)]

_PASSING = re.compile(
    r"/(proc|sys|dev|run|tmp|root)(/|$)|/var/(log|cache|tmp)(/|$)|/var/lib/apt/|/var/lib/systemd/|/var/lib/dpkg/|/etc/resolv.conf$"
)
"""What any installation, or any minute, leaves on a Debian system."""
_OF_THE_GROUP = ["/etc/group", "/etc/group-", "/etc/gshadow", "/etc/gshadow-"]
"""As Debian wants it, a package's group stays."""
_MOMENTS = {
    "packages": "/var/lib/pi-ota-onboarding/packages",
    "keyring": "/usr/share/keyrings/pi-ota-archive-keyring.gpg",
    "unpacked": "/usr/bin/pi-hook",
}
"""When a run is cut off: once this is there."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    folder.chmod(0o755)
    with fleet(folder) as made:
        assert "make release-agent CHANNEL=stable" in made.page()
        publish(made, tmp_path_factory.mktemp("agent"))
        assert "make release-agent" not in made.page()
        yield made


def files(root: Path) -> dict[str, str]:
    """Every path with what it is."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = Path(folder, name)
            inside = f"/{path.relative_to(root)}"
            if _PASSING.match(inside):
                continue
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                content = str(path.readlink()) if path.is_symlink() else ""
            found[inside] = f"{stat.filemode(status.st_mode)} {status.st_uid} {status.st_gid} {content}"
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


@pytest.mark.parametrize("suite", SUITES)
def test_the_line_twice_and_back(running: Fleet, tmp_path: Path, suite: str) -> None:
    line = running.line(debian=suite, gpio_pins="17, 27", timezone="Europe/Berlin")
    registered = len(running.devices())
    with pi(suite, tmp_path / "pi", running) as (device, system):
        packages = system.run("dpkg-query", "-W").stdout
        before = files(device.path)

        first = system.run("sh", "-c", line)
        print(first.stdout)
        devices = running.devices()
        assert len(devices) == registered + 1
        newest = max(devices, key=lambda one: one["registered_at"])
        assert (newest["assistant"], newest["timezone"], newest["debian"]) == (
            "sample-assistant",
            "Europe/Berlin",
            suite,
        )
        assert f"{running.url}/devices/{newest['id']}" in first.stdout.splitlines()[-1]
        shown = re.search(r"the repository's key is ([0-9A-F]{40})", first.stdout)
        assert shown
        assert shown[1] in running.stack.run("keys", "show").stdout
        examined = system.run("pi-hook", "doctor", check=False).stdout
        print(examined)
        # A container has no GPIO, and its overlay looks like the one of raspi-config.
        assert re.findall(r"^fail +(\w+)", examined, re.MULTILINE) == ["activity", "writable"]
        assert "gpiozero" not in examined
        token = re.search(r"pie_[A-Za-z0-9_-]+", line)
        assert token
        # sudo itself writes the command line into the journal: docs/DEVICES.md says so, and what to do instead.
        places = ("/etc", "/var", "/run", "/usr/share")
        held = system.run("grep", "-rlF", "--exclude-dir=journal", token[0], *places, check=False)
        holders = held.stdout.split()
        assert holders == []
        settings = device.path / "etc/pi-hook/pi-hook.toml"
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600
        assert list((device.path / "run").glob("pi-ota-onboarding*")) == []
        # The agent's own source is what is there now, and works.
        system.run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")

        unchanged = files(device.path)
        again = system.run("sh", "-c", line)
        assert again.stdout.splitlines() == [
            f"pi-ota: this Pi is registered at {running.url} already; nothing was changed"
        ]
        assert differences(unchanged, files(device.path)) == []

        undo = line.partition("--token")[0] + "--undo"
        back = system.run("sh", "-c", undo)
        print(back.stdout)
        assert system.run("dpkg-query", "-W").stdout == packages
        assert differences(before, files(device.path)) == _OF_THE_GROUP
        assert (
            system.run("sh", "-c", undo).stdout.strip()
            == "pi-ota: there is nothing of pi-ota here; nothing was changed"
        )


def cut_off(system: Booted, line: str, when: str) -> None:
    """Run the line, and kill it with all that it runs as soon as a file is there: a power cut, but for what was not
    flushed."""
    program = (
        'systemd-run --quiet --unit=onboarding --property=RemainAfterExit=yes --setenv=HOME=/root sh -c "$1"\n'
        'until [ -e "$2" ]; do systemctl is-active --quiet onboarding || exit 9; sleep 0.01; done\n'
        "systemctl kill --signal=KILL onboarding\n"
        "systemctl stop onboarding; systemctl reset-failed onboarding || true\n"
    )
    done = system.run("sh", "-c", program, "sh", line, when, check=False)
    assert done.returncode == 0, done.stdout + system.run("journalctl", "-u", "onboarding").stdout


def test_a_line_that_is_cut_off_goes_on_when_it_is_run_again(running: Fleet, tmp_path: Path) -> None:
    line = running.line()
    registered = len(running.devices())
    with pi("trixie", tmp_path / "pi", running) as (device, system):
        packages = system.run("dpkg-query", "-W").stdout
        before = files(device.path)
        for when in ("packages", "keyring", "unpacked"):
            cut_off(system, line, _MOMENTS[when])
            print(when, system.run("dpkg", "--audit", check=False).stdout)
            assert not (device.path / "etc/apt/sources.list.d/pi-ota.sources").exists()
        done = system.run("sh", "-c", line)
        print(done.stdout)
        assert "finishing what dpkg was interrupted in" in done.stdout
        assert len(running.devices()) == registered + 1
        back = system.run("sh", "-c", line.partition("--token")[0] + "--undo")
        print(back.stdout)
        assert system.run("dpkg-query", "-W").stdout == packages
        assert differences(before, files(device.path)) == _OF_THE_GROUP


def test_what_was_cut_off_is_taken_away_too(running: Fleet, tmp_path: Path) -> None:
    line = running.line()
    with pi("trixie", tmp_path / "pi", running) as (device, system):
        packages = system.run("dpkg-query", "-W").stdout
        before = files(device.path)
        for when in _MOMENTS.values():
            cut_off(system, line, when)
            undo = line.partition("--token")[0] + "--undo"
            done = system.run("sh", "-c", undo, check=False)
            if "without --undo once more" in done.stdout:  # dpkg does not know yet what it has unpacked
                assert when == _MOMENTS["unpacked"]
                system.run("sh", "-c", line)
                done = system.run("sh", "-c", undo)
            assert done.returncode == 0, done.stdout
            assert system.run("dpkg-query", "-W").stdout == packages
            assert [path for path in differences(before, files(device.path)) if path not in _OF_THE_GROUP] == []


def section(heading: str) -> str:
    """What stands under a heading of docs/DEVICES.md."""
    text = (ROOT / "docs/DEVICES.md").read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("suite", SUITES)
def test_the_commands_by_hand(running: Fleet, tmp_path: Path, suite: str) -> None:
    """Those of docs/DEVICES.md, in one root shell, with this server and this token."""
    commands = [one for block in blocks(section("By hand")) if block.language == "console" for one in block.commands()]
    token = re.search(r"pie_[A-Za-z0-9_-]+", running.page(debian=suite))
    assert token
    assert commands[0] == "SERVER=https://updates.example.org CHANNEL=stable TOKEN=TOKEN"
    commands[0] = f"SERVER={running.url} CHANNEL=stable TOKEN={token[0]}"
    assert commands[-1] == "pi-hook doctor"
    registered = len(running.devices())
    with pi(suite, tmp_path / "pi", running) as (device, system):
        done = system.run("sh", "-exc", "export DEBIAN_FRONTEND=noninteractive\n" + "\n".join(commands[:-1]))
        print(done.stdout)
        source = device.path / "etc/apt/sources.list.d/pi-ota.sources"
        wait_for(source.exists, lambda: system.run("journalctl", "-u", "pi-hook").stdout)
        assert len(running.devices()) == registered + 1
        system.run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
        assert list(device.path.glob("etc/apt/*/pi-ota-bootstrap*")) == []


def test_a_card_before_its_first_boot(running: Fleet, tmp_path: Path) -> None:
    """The file that the page shows, on the boot partition of an image that the hook for mmdebstrap has made."""
    page = running.page(gpio_pins="17")
    shown = re.search(r'aria-label="First-boot file pi-hook.toml"><code>(.*?)</code>', page, re.DOTALL)
    assert shown
    registered = len(running.devices())
    debs = tmp_path / "debs"
    debs.mkdir()
    for name in ("pi-hook", "pi-ota-keyring"):
        shutil.copy(next(running.stack.public.glob(f"trixie/pool/main/p/{name}/{name}_*.deb")), debs)
    with whole_pi("trixie", tmp_path, running) as root:
        environment = {**os.environ, "PI_OTA_DEBS": str(debs)}
        hook = [str(ROOT / "examples/image/mmdebstrap-hook"), str(root)]
        made = subprocess.run(hook, env=environment, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        boot = root / "boot/firmware/pi-hook.toml"
        boot.parent.mkdir(parents=True)
        boot.write_text(html.unescape(shown[1]))
        with booted(root) as system:
            source = root / "etc/apt/sources.list.d/pi-ota.sources"
            wait_for(source.exists, lambda: system.run("journalctl", "-u", "pi-hook").stdout)
        assert len(running.devices()) == registered + 1
        assert not boot.exists()
        taken = root / "etc/pi-hook/pi-hook.d/boot.toml"
        assert stat.S_IMODE(taken.stat().st_mode) == 0o600
        assert "pie_" not in taken.read_text()
        # What has been started once is no image any more.
        refused = subprocess.run(
            ["chroot", root, "pi-hook", "check-image"], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "identity.json is of one device" in refused.stdout


def test_an_agent_that_another_builder_has_signed_is_not_installed(running: Fleet, tmp_path: Path) -> None:
    """Under the right archive key, so that apt has nothing against it."""
    keys, tree = Keys(tmp_path / "gpg"), tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    keys.trust(tree)
    keys.close()
    archive = tree / "usr/share/keyrings/pi-ota-archive-keyring.gpg"
    answer = running.server.request("GET", "/onboarding/archive-keyring.gpg")
    assert answer.status == 200
    archive.write_bytes(answer.content)
    control = "Package: pi-ota-keyring\nVersion: 9\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    (tree / "DEBIAN/control").write_text(control)
    deb = tmp_path / "pi-ota-keyring_9_all.deb"
    subprocess.run(["dpkg-deb", "-Zxz", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    agent = next(running.stack.public.glob("trixie/pool/main/p/pi-hook/pi-hook_*.deb"))
    for one in (deb, agent):
        done = running.stack.run("agent", str(one), "--channel", "other")
        assert done.status == 0, done.stderr
    with pi("trixie", tmp_path / "pi", running) as (device, system):
        refused = system.run("sh", "-c", f"{running.line().strip()} --channel other", check=False)
        assert refused.returncode == 1
        assert "pi-hook does not carry the signature of this fleet's builder, and was not installed" in refused.stdout
        assert not (device.path / "usr/bin/pi-hook").exists()
        assert not (device.path / "etc/pi-hook").exists()


def wait_for(seen: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + 300
    while not seen():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)
