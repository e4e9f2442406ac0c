"""The maintainer scripts, run by the real shell on a folder; systemd's helpers only note that they were called."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pkgbuild import control, running
from pkgbuild.payload import Service

TOOLS = (
    "systemd-sysusers",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "systemctl",
    "loginctl",
    "chown",
    "getent",
    "python3.13",
)


@dataclass
class Machine:
    root: Path

    @property
    def current(self) -> Path:
        return self.root / "var/lib/tiny/current"

    def add_release(self, version: str) -> None:
        (self.root / "usr/lib/tiny/releases" / version).mkdir(parents=True)

    def add_agent(self) -> None:
        (self.root / "usr/lib/pi-hook").mkdir(parents=True)

    def script(self, name: str, *words: str, version: str = "1.1") -> list[str]:
        """Run a script and return the helpers' calls, in order."""
        unit, _, script_name = name.partition(".")
        service = Service.model_validate({"module": "tiny", "unit": unit})
        text = running.scripts("tiny", service, version)[script_name]
        for path in ("/usr/lib/", "/var/lib/", "/run/systemd"):
            text = text.replace(path, f"{self.root}{path}")
        script, log = self.root / "script", self.root / "calls"
        script.write_text(text)
        log.write_text("")
        path = f"{self.root}/bin:{os.environ['PATH']}"
        subprocess.run(["sh", script, *words], check=True, env={"PATH": path, "CALLS": str(log)})
        return log.read_text().splitlines()

    def active(self) -> str:
        """The release that `current` names."""
        target = self.current.readlink()
        assert target.is_absolute()
        assert target.parent == self.root / "usr/lib/tiny/releases"
        return target.name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "var/lib").mkdir(parents=True)
    for tool in TOOLS:
        (tmp_path / "bin" / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >> "$CALLS"\n')
        (tmp_path / "bin" / tool).chmod(0o755)
    found = Machine(tmp_path)
    found.add_release("1.0")
    found.add_release("1.1")
    return found


@pytest.mark.parametrize("agent", [True, False])
def test_first_installation_activates_enables_and_starts(machine: Machine, *, agent: bool) -> None:
    if agent:
        machine.add_agent()
    calls = machine.script("system.postinst", "configure")
    assert machine.active() == "1.1"
    assert calls[0] == "systemd-sysusers tiny.conf"
    assert "deb-systemd-helper enable tiny.service" in calls
    assert calls[-1] == "deb-systemd-invoke start tiny.service"


def test_upgrade_beside_the_agent_leaves_the_active_release(machine: Machine) -> None:
    machine.add_agent()
    machine.script("system.postinst", "configure", version="1.0")
    calls = machine.script("system.postinst", "configure", "1.0")
    assert machine.active() == "1.0"
    assert not [call for call in calls if call.startswith("deb-systemd-invoke")]
    assert not [call for call in calls if "restart" in call]


def test_upgrade_without_the_agent_takes_the_new_release_for_the_next_start(machine: Machine) -> None:
    machine.script("system.postinst", "configure", version="1.0")
    calls = machine.script("system.postinst", "configure", "1.0")
    assert machine.active() == "1.1"
    assert not [call for call in calls if call.startswith("deb-systemd-invoke")]


def test_dangling_current_is_mended_but_nothing_started(machine: Machine) -> None:
    machine.add_agent()
    machine.current.parent.mkdir()
    machine.current.symlink_to(machine.root / "usr/lib/tiny/releases/0.9")
    calls = machine.script("system.postinst", "configure", "0.9")
    assert machine.active() == "1.1"
    assert not [call for call in calls if call.startswith("deb-systemd-invoke")]


def test_chroot_without_systemd_starts_nothing(machine: Machine) -> None:
    (machine.root / "run/systemd/system").rmdir()
    calls = machine.script("system.postinst", "configure")
    assert machine.active() == "1.1"
    assert not [call for call in calls if call.startswith(("deb-systemd-invoke", "systemctl"))]


def test_postinst_ignores_other_actions(machine: Machine) -> None:
    assert machine.script("system.postinst", "triggered", "x") == []
    assert not machine.current.parent.exists()


def test_removal_stops_upgrade_does_not(machine: Machine) -> None:
    assert machine.script("system.prerm", "upgrade", "1.2") == []
    assert machine.script("system.prerm", "remove") == ["deb-systemd-invoke stop tiny.service"]


def test_installing_again_after_removal_is_a_first_installation(machine: Machine) -> None:
    machine.add_agent()
    machine.script("system.postinst", "configure")
    state = machine.current.parent / "state/memory"
    state.parent.mkdir()
    state.write_text("x")
    machine.script("system.postrm", "remove")
    assert state.exists()
    assert "deb-systemd-invoke start tiny.service" in machine.script("system.postinst", "configure", "1.1")


def test_purge_leaves_nothing(machine: Machine) -> None:
    machine.script("system.postinst", "configure")
    calls = machine.script("system.postrm", "purge")
    assert not machine.current.parent.exists()
    assert calls == ["deb-systemd-helper purge tiny.service"]


def test_postrm_of_an_upgrade_changes_nothing(machine: Machine) -> None:
    machine.script("system.postinst", "configure")
    assert machine.script("system.postrm", "upgrade", "1.2") == []
    assert machine.active() == "1.1"


# A user unit, under which the assistant runs as an account


def lingers(machine: Machine) -> bool:
    return (machine.root / "var/lib/systemd/linger/tiny").exists()


def test_a_user_unit_is_enabled_and_runs_from_the_boot_on(machine: Machine) -> None:
    calls = machine.script("user.postinst", "configure")
    assert machine.active() == "1.1"
    assert (machine.current.parent / "state").stat().st_mode & 0o777 == 0o750
    for call in (
        "systemd-sysusers tiny.conf",
        f"chown tiny: {machine.current.parent}/state",
        "deb-systemd-helper --user enable tiny.service",
        "deb-systemd-helper purge tiny.service",
        "loginctl enable-linger tiny",
        "systemctl --user --machine=tiny@ daemon-reload",
    ):
        assert call in calls
    assert calls[-1] == "deb-systemd-invoke --user start tiny.service"


def test_an_upgrade_of_a_user_unit_starts_and_restarts_nothing(machine: Machine) -> None:
    machine.add_agent()
    machine.script("user.postinst", "configure", version="1.0")
    calls = machine.script("user.postinst", "configure", "1.0")
    assert machine.active() == "1.0"
    assert not [call for call in calls if call.startswith("deb-systemd-invoke")]


def test_in_a_chroot_it_lingers_by_file_and_no_more_once_removed(machine: Machine) -> None:
    (machine.root / "run/systemd/system").rmdir()
    machine.script("user.postinst", "configure")
    assert lingers(machine)
    assert machine.script("user.prerm", "remove") == []
    machine.script("user.postrm", "remove")
    assert not (machine.root / "var/lib/systemd/linger").exists()
    assert machine.script("user.postrm", "purge") == ["deb-systemd-helper --user purge tiny.service"]
    assert not machine.current.parent.exists()


def test_an_account_that_lingered_before_does_so_afterwards(machine: Machine) -> None:
    (machine.root / "var/lib/systemd/linger").mkdir(parents=True)
    (machine.root / "var/lib/systemd/linger/tiny").touch()
    assert "loginctl enable-linger tiny" not in machine.script("user.postinst", "configure")
    calls = machine.script("user.postrm", "remove")
    assert "loginctl disable-linger tiny" not in calls
    assert lingers(machine)


def test_removal_of_a_user_unit_stops_it_upgrade_does_not(machine: Machine) -> None:
    assert machine.script("user.prerm", "upgrade", "1.2") == []
    assert machine.script("user.prerm", "remove") == ["deb-systemd-invoke --user stop tiny.service"]
    machine.script("user.postinst", "configure")
    assert machine.script("user.postrm", "upgrade", "1.2") == []
    assert "loginctl disable-linger tiny" in machine.script("user.postrm", "remove")


def test_an_account_that_the_device_lacks_ends_the_installation(machine: Machine) -> None:
    (machine.root / "bin/getent").write_text("#!/bin/sh\nexit 2\n")
    with pytest.raises(subprocess.CalledProcessError):
        machine.script("user.postinst", "configure")
    assert not machine.current.is_symlink()


@pytest.mark.parametrize(("board", "status"), [("armv6l", 1), ("armv7l", 0), ("aarch64", 0)])
def test_armv7_code_is_not_for_an_armv6_board(tmp_path: Path, board: str, status: int) -> None:
    (tmp_path / "uname").write_text(f"#!/bin/sh\necho {board}\n")
    (tmp_path / "uname").chmod(0o755)
    script = tmp_path / "preinst"
    script.write_text(control.template("layer.preinst", PACKAGE="tiny-deps-0123456789ab"))
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", script, "install"], check=False, capture_output=True, text=True, env={"PATH": path})
    assert done.returncode == status
    assert ("tiny-deps-0123456789ab needs an ARMv7 processor" in done.stderr) == bool(status)


def test_layer_compiles_at_install_and_leaves_no_byte_code_behind(tmp_path: Path) -> None:
    folder = tmp_path / "layer"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n")
    (folder / "sub/b.py").write_text("y = 1\n")
    (folder / "template.py").write_text("{{ no python }}\n")
    for name, words in (("layer.postinst", ["configure"]), ("layer.prerm", ["remove"])):
        script = tmp_path / name
        script.write_text(control.template(name, PYTHON="/usr/bin/python3", FOLDERS=str(folder)))
        before = set(folder.rglob("*.pyc"))
        subprocess.run(["sh", script, *words], check=True)
        after = set(folder.rglob("*.pyc"))
        assert (len(before), len(after)) == ((0, 2) if name == "layer.postinst" else (2, 0))
    assert {path.name for path in folder.rglob("*")} == {"a.py", "sub", "b.py", "template.py"}


def test_layer_replaces_byte_code_that_a_power_cut_left_torn(tmp_path: Path) -> None:
    folder = tmp_path / "layer"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    script = tmp_path / "postinst"
    script.write_text(control.template("layer.postinst", PYTHON="/usr/bin/python3", FOLDERS=str(folder)))
    subprocess.run(["sh", script, "configure"], check=True)
    (compiled,) = folder.rglob("*.pyc")
    whole = compiled.read_bytes()
    compiled.write_bytes(whole[:20])  # header, date and size are right, so compileall and Python take it for theirs
    subprocess.run(["sh", script, "configure"], check=True)  # as `dpkg --configure -a` does after the cut
    assert compiled.read_bytes() == whole


def test_layer_is_synced_before_dpkg_calls_it_installed(tmp_path: Path) -> None:
    folder, calls = tmp_path / "layer", tmp_path / "calls"
    folder.mkdir()
    (tmp_path / "sync").write_text(f'#!/bin/sh\necho "sync $*" > {calls}\n')
    (tmp_path / "sync").chmod(0o755)
    script = tmp_path / "postinst"
    script.write_text(control.template("layer.postinst", PYTHON="/usr/bin/python3", FOLDERS=str(folder)))
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", script, "configure"], check=True, env={"PATH": path})
    assert calls.read_text() == f"sync -f {folder}\n"
