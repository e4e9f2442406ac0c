"""Installed, upgraded, removed, installed again and purged by dpkg in a chroot: what is kept and what is left.

The chroot is an overlay on a device's own base, whose upper folder holds exactly what has changed.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pi_hook.apt_source import AptSourceFiles
from pi_hook.ports import AptSettings
from pi_hook.release_dir import ReleaseDir
from tests.support.apt_root import AptRoot, base
from tests.support.traces import changed, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SETTINGS = "etc/pi-hook/pi-hook.toml"
_MINE = '# mine\n[server]\nurl = "https://updates.example.org"\n[assistant]\nname = "sample-assistant"\n'
_INFO = "var/lib/dpkg/info/pi-hook"
# What dpkg gives to maintainer scripts and a person in a shell does not have.
_SCRIPT = {"DPKG_MAINTSCRIPT_PACKAGE": "pi-hook", "DPKG_MAINTSCRIPT_ARCH": "all"}
_OF_HELPERS = "var/lib/systemd/deb-systemd-helper-"


@dataclass(frozen=True, slots=True)
class Looked:
    """One step: what was wrong, and what was seen where nothing was."""

    step: str
    wrong: list[str]
    words: str


class Story:
    """One system in which the package lives its life; each step begins where the one before has ended."""

    def __init__(self, device: AptRoot, before: Path, now: Path) -> None:
        self._device = device
        self._before, self._now = (device.copy_in(deb, f"/root/{deb.name}") for deb in (before, now))
        self._versions = [deb.name.split("_")[1] for deb in (before, now)]
        self._clean = self._state()

    def steps(self) -> Iterator[Looked]:
        """Take them all."""
        older, newer = self._versions
        steps: list[tuple[str, Callable[[], Iterator[str]], str]] = [
            ("install", self._install, f"{older}: group, folders, units enabled, no file under /etc but /etc/pi-hook"),
            ("upgrade", self._upgrade, f"{older} to {newer}: settings and state kept to the byte, nobody asked"),
            (
                "half done",
                self._half_done,
                "a failed postinst configured; one that was only unpacked mended",
            ),
            ("scripts twice", self._twice, "each maintainer script run again changes nothing"),
            ("remove", self._remove, "programs and units gone, settings and state kept"),
            ("reinstall", self._reinstall, "enabled again, with the settings and the state of before"),
            ("purge", self._purge, "every file and folder as before the installation"),
        ]
        for step, take, words in steps:
            yield Looked(step, list(take()), words)

    def _install(self) -> Iterator[str]:
        yield from self._dpkg("--install", self._before)
        yield from self._whole(self._versions[0])
        conffiles = self._device.run("dpkg-query", "--show", "--showformat=${Conffiles}", "pi-hook").stdout.strip()
        if conffiles:
            yield f"it has conffiles, about which dpkg could ask: {conffiles}"
        own = [path for path in self._state() if path.startswith("etc/") and not path.startswith("etc/systemd/system/")]
        if set(own) - set(self._clean) != {"etc/pi-hook"}:
            yield f"it brought {sorted(set(own) - set(self._clean))} to /etc"
        self._use()

    def _use(self) -> None:
        """What a device that is at work has: settings of a person, and files that the agent writes."""
        settings = self._device.path / _SETTINGS
        settings.write_text(_MINE)
        settings.chmod(0o600)
        root = self._device.root
        apt = AptSettings("https://updates.example.org", "trixie", "stable", "sample-assistant", "device", "token")
        AptSourceFiles(root).write(apt)
        ReleaseDir("sample-assistant", root).protect(frozenset({"1.0.0"}))
        (self._device.path / "var/lib/pi-hook/state.json").write_text("{}")
        (self._device.path / "run/pi-hook").mkdir(exist_ok=True)
        self._used = self._kept()

    def _upgrade(self) -> Iterator[str]:
        yield from self._dpkg("--install", self._now)
        yield from self._whole(self._versions[1])
        yield from self._kept_as_used()

    def _half_done(self) -> Iterator[str]:
        # The first py3compile of the PATH that dpkg hands on to the scripts.
        compiler = self._device.path / "usr/local/sbin/py3compile"
        compiler.write_text("#!/bin/sh\nexit 3\n")
        compiler.chmod(0o755)
        done = self._device.run("dpkg", "--install", self._now, check=False)
        compiler.unlink()
        if done.returncode == 0 or self._status() != "install ok half-configured":
            yield f"a failing postinst left it {self._status()}"
        yield from self._dpkg("--configure", "--pending")
        yield from self._whole(self._versions[1])

        yield from self._dpkg("--unpack", self._now)
        if self._status() != "install ok unpacked":
            yield f"unpacked it is {self._status()}"
        mended = self._device.run("/usr/lib/pi-hook/mend-agent", check=False)
        if mended.returncode:
            yield f"mend-agent ended with {mended.returncode}: {mended.stdout.strip()[-400:]}"
        yield from self._whole(self._versions[1])
        yield from self._kept_as_used()

    def _twice(self) -> Iterator[str]:
        before = self._state()
        version = self._versions[1]
        for words in (
            ("postinst", "configure", version),
            ("postinst", "configure", version),
            ("postinst", "configure", ""),
            ("postinst", "abort-upgrade", version),
            ("postinst", "abort-remove"),
            ("prerm", "upgrade", version),
            ("prerm", "failed-upgrade", version),
            ("postrm", "upgrade", version),
            ("postrm", "failed-upgrade", version),
            ("postrm", "abort-install"),
            ("postrm", "abort-upgrade", version),
            ("postinst", "configure", version),
        ):
            yield from self._script(*words)
        yield from (f"run again, the scripts changed /{path}" for path in changed(before, self._state()))

    def _remove(self) -> Iterator[str]:
        purging = (self._device.path / f"{_INFO}.postrm").read_bytes()
        yield from self._dpkg("--remove", "pi-hook")
        if self._status() != "deinstall ok config-files":
            yield f"it is {self._status()}"
        for gone in ("usr/bin/pi-hook", "usr/lib/pi-hook", "usr/lib/systemd/system/pi-hook.service"):
            if (self._device.path / gone).exists():
                yield f"/{gone} is still there"
        yield from self._script("postrm", "remove")
        yield from self._kept_as_used()
        self._purging = purging

    def _reinstall(self) -> Iterator[str]:
        yield from self._dpkg("--install", self._now)
        yield from self._whole(self._versions[1])
        yield from self._kept_as_used()

    def _purge(self) -> Iterator[str]:
        yield from self._dpkg("--purge", "pi-hook")
        script = self._device.path / "root/postrm"
        script.write_bytes(self._purging)
        script.chmod(0o755)
        done = self._device.run("/root/postrm", "purge", check=False, env=_SCRIPT)
        if done.returncode:
            yield f"postrm purge, run again, ended with {done.returncode}: {done.stdout.strip()[-400:]}"
        yield from (f"left behind or changed: /{path}" for path in changed(self._clean, self._state()))
        if "no packages found" not in self._device.run("dpkg-query", "--show", "pi-hook", check=False).stdout:
            yield f"dpkg still knows of it: {self._status()}"

    def _whole(self, version: str) -> Iterator[str]:
        if self._device.version("pi-hook") != version:
            yield f"dpkg has {self._status()} {self._device.version('pi-hook')}, and not {version} installed"
        said = self._device.run("pi-hook", "--version", check=False).stdout.strip()
        if said != f"pi-hook {version}":
            yield f"pi-hook --version says {said!r}"
        enabled = {link.name for link in (self._device.path / "etc/systemd/system/multi-user.target.wants").iterdir()}
        if not {"pi-hook.service", "pi-hook-recover.service"} <= enabled:
            yield f"of its units only {sorted(enabled)} are enabled"
        audit = self._device.run("dpkg", "--audit").stdout.strip()
        if audit:
            yield f"dpkg --audit says {audit}"
        verify = self._device.run("dpkg", "--verify", "pi-hook", check=False).stdout
        # The base is made without manuals and documents.
        bad = [line for line in verify.splitlines() if "/usr/share/man/" not in line and "/usr/share/doc/" not in line]
        if bad:
            yield f"dpkg --verify says {bad}"

    def _kept(self) -> dict[str, str]:
        """Path -> mode and content of what belongs to the device and not to the package."""
        found = {}
        for folder in ("etc/pi-hook", "var/lib/pi-hook", "etc/apt"):
            for path in sorted((self._device.path / folder).rglob("*")):
                if path.is_file() and not path.is_symlink():
                    name = str(path.relative_to(self._device.path))
                    found[name] = f"{stat.S_IMODE(path.stat().st_mode):o} {path.read_bytes()!r}"
        return found

    def _kept_as_used(self) -> Iterator[str]:
        yield from (f"/{path} is another than before" for path in changed(self._used, self._kept()))

    def _status(self) -> str:
        return self._device.run("dpkg-query", "--show", "--showformat=${Status}", "pi-hook", check=False).stdout.strip()

    def _dpkg(self, *words: str) -> Iterator[str]:
        done = self._device.run("dpkg", *words, check=False)
        if done.returncode:
            yield f"dpkg {words[0]} ended with {done.returncode}: {done.stdout.strip()[-800:]}"

    def _script(self, name: str, *words: str) -> Iterator[str]:
        done = self._device.run(f"/{_INFO}.{name}", *words, check=False, env=_SCRIPT)
        if done.returncode:
            yield f"{name} {' '.join(words)} ended with {done.returncode}: {done.stdout.strip()[-400:]}"

    def _state(self) -> dict[str, str]:
        # deb-systemd-helper's own folder stays, empty, for any package that has had a unit.
        everything = state(self._device.upper, self._device.lower)
        return {
            path: content
            for path, content in everything.items()
            if content != "folder" or not path.startswith(_OF_HELPERS)
        }


def looked(suite: str, before: Path, now: Path, work: Path) -> Iterator[Looked]:
    """Take the package through its life in a system of ``suite``; ``work`` is made here."""
    with AptRoot((base(suite),), work) as device:
        yield from Story(device, before, now).steps()
