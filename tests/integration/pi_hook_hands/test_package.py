"""The Debian package itself: clean, safe to upgrade in the middle of its own work, gone without a trace when purged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pi_hook.apt_source import AptSourceFiles
from pi_hook.ports import AptSettings, Step
from pi_hook.release_dir import ReleaseDir
from tests.support import apt_root
from tests.support.apt_repo import DEVICE_ID, NAME, TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.apt_repo import Repo

# What dpkg, apt and the system's logs write for any package; a group stays, as Debian does it.
_OTHERS = ("var/lib/dpkg/", "var/log/", "var/cache/", "etc/group", "etc/gshadow", "etc/.pwd.lock", "root/", "dev/")
_MORE = ("usr/lib/python3", "var/lib/systemd/deb-systemd-helper-", "etc/subuid", "etc/subgid", "var/lib/apt/lists/")


def files(system: apt_root.AptRoot) -> set[str]:
    found = set()
    for folder, folders, names in os.walk(system.path):
        if folder == str(system.path):
            folders.remove("proc")
        found |= {os.path.relpath(os.path.join(folder, name), system.path) for name in [*folders, *names]}  # noqa: PTH118
    return {path for path in found if not path.startswith((*_OTHERS, *_MORE))}


@pytest.mark.root
@pytest.mark.network
def test_purge_leaves_nothing(suite: str, agent_deb: Path, tmp_path: Path) -> None:
    with apt_root.AptRoot((apt_root.base(suite),), tmp_path / "device") as system:
        before = files(system)
        system.run("dpkg", "--install", system.copy_in(agent_deb, "/root/pi-hook.deb"))
        assert system.run("getent", "group", "pi-hook").stdout.startswith("pi-hook:")
        assert (system.path / "var/lib/pi-hook").stat().st_mode & 0o777 == 0o711
        enabled = system.path / "etc/systemd/system/multi-user.target.wants"
        assert {path.name for path in enabled.iterdir()} >= {"pi-hook.service", "pi-hook-recover.service"}
        AptSourceFiles(system.root).write(AptSettings("http://127.0.0.1:9", suite, "stable", NAME, DEVICE_ID, TOKEN))
        ReleaseDir(NAME, system.root).protect(frozenset({"1.0.0"}))
        system.step(Step.REFRESH, "1.0.0")
        (system.path / "etc/pi-hook/pi-hook.toml").write_text("secret")
        system.run("dpkg", "--purge", "pi-hook")
        assert files(system) - before == set()


def test_purge_with_layers_installed_leaves_the_assistant_running(device: apt_root.AptRoot, repo: Repo) -> None:
    repo.release("1.0.0")
    repo.publish()
    device.step(Step.REFRESH, "1.0.0")
    assert device.step(Step.INSTALL, "1.0.0").problem is None
    device.run("dpkg", "--purge", "pi-hook")
    assert device.version(NAME) == "1.0.0"
    assert (device.path / f"usr/lib/{NAME}/releases/1.0.0/run").exists()
    assert (device.path / f"var/lib/{NAME}/current").is_symlink()


def test_protected_layers_survive_a_persons_autoremove(device: apt_root.AptRoot, repo: Repo) -> None:
    for version, deps in (("1.0.0", "aaaaaaaaaaaa"), ("1.1.0", "bbbbbbbbbbbb")):
        repo.release(version, deps=deps)
        repo.publish()
        device.step(Step.REFRESH, version)
        ReleaseDir(NAME, device.root).protect(frozenset({"1.0.0"}))
        assert device.step(Step.INSTALL, version).problem is None
    device.run("apt-get", "autoremove", "--yes")
    assert device.version(f"{NAME}-app-1.0.0") == "1.0.0"
    assert device.version(f"{NAME}-deps-aaaaaaaaaaaa") == "1"
    # ... and go once nobody needs them.
    releases = ReleaseDir(NAME, device.root)
    (device.path / f"var/lib/{NAME}/current").unlink()
    releases.activate("1.1.0")
    assert releases.remove_others(frozenset({"1.1.0"})) == [f"{NAME}-app-1.0.0", f"{NAME}-deps-aaaaaaaaaaaa"]
    assert not (device.path / f"usr/lib/{NAME}/releases/1.0.0").exists()
    assert device.version(NAME) == "1.1.0"
    left = {path.name.partition("_")[0] for path in (device.path / "var/lib/pi-hook/archives").glob("*.deb")}
    assert left == {NAME, f"{NAME}-app-1.1.0", f"{NAME}-deps-bbbbbbbbbbbb"}


def test_an_upgrade_of_the_agent_touches_no_step_unit(agent_deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--control", str(agent_deb), str(tmp_path)], check=True)
    scripts = {
        path.name: path.read_text() for path in tmp_path.iterdir() if path.name in {"preinst", "postinst", "prerm"}
    }
    for name, script in scripts.items():
        for line in script.splitlines():
            acts = "systemctl" in line or "deb-systemd-invoke" in line
            assert not (acts and any(f"pi-hook-{step}" in line for step in Step)), f"{name}: {line}"
    assert "deb-systemd-invoke stop" not in scripts.get("preinst", "")


def test_the_command_line_is_there(device: apt_root.AptRoot) -> None:
    done = device.run("pi-hook", "worker", "nonsense", check=False)
    assert done.returncode == 2
    assert "usage" in done.stdout


def test_manual_and_completion_are_in_the_package(agent_deb: Path) -> None:
    listed = subprocess.run(
        ["dpkg-deb", "--contents", str(agent_deb)], capture_output=True, text=True, check=True
    ).stdout
    for path in ("man/man8/pi-hook.8.gz", "man/man5/pi-hook.toml.5.gz", "bash-completion/completions/pi-hook"):
        assert f"./usr/share/{path}\n" in listed


def test_the_doctor_looks_at_a_real_system(device: apt_root.AptRoot, repo: Repo) -> None:
    settings = device.path / "etc/pi-hook/pi-hook.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'[server]\nurl = "http://127.0.0.1:9"\n[assistant]\nname = "{NAME}"\n')
    done = device.run("pi-hook", "doctor", "--json", check=False)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    found = {check["check"]: check for check in answer["checks"]}
    assert found["keyring"]["level"] == found["builder key"]["level"] == "ok", "read with the system's own gpg"
    assert found["settings"]["level"] == found["disk"]["level"] == found["dpkg"]["level"] == "ok"
    assert found["daemon"]["level"] == "fail"
    assert "systemctl start pi-hook" in found["daemon"]["mend"]
    assert "127.0.0.1:9 cannot be asked" in found["server"]["words"]
    assert found["enrolled"]["level"] == "fail"
    words = device.run("pi-hook", "doctor", check=False).stdout
    assert len(words.splitlines()) == len(answer["checks"]) + 1


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_nothing(agent_deb: Path) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(agent_deb)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """In another folder, at another time, under another umask."""
    for number, mask in (("one", 0o022), ("two", 0o077)):
        checkout = tmp_path / number / "checkout"
        source = tmp_path / "one/checkout" if number == "two" else apt_root.CHECKOUT
        for part in ("debian", "pi_hook"):
            shutil.copytree(source / part, checkout / part, copy_function=shutil.copyfile)
        for program in ("build", "rules"):
            (checkout / "debian" / program).chmod(0o755)
        subprocess.run([str(checkout / "debian/build")], check=True, capture_output=True, umask=mask)
    one, two = (next((tmp_path / number).glob("checkout/build/*.deb")).read_bytes() for number in ("one", "two"))
    assert one == two
