"""Temporary Debian systems (chroots on an overlay) in which the real apt, dpkg and unattended-upgrades run.

The base of each Debian release is made once with mmdebstrap and kept under ``.cache/apt-root``; a test works on an
overlay of it and leaves nothing behind. Needs root; the first use needs the network.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from demo.mmdebstrap import mmdebstrap
from pi_hook.files import Root
from pi_hook.ports import Request, Step, StepRequest, StepResult, SystemRequest
from pi_hook.step_files import Ticket, read_result, write_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "apt-root"
SUITES = ("bookworm", "trixie")


def _depends() -> list[str]:
    """What the package itself asks for, so that the base never knows more than a device does."""
    control = (CHECKOUT / "debian/control").read_text(encoding="utf-8")
    found = re.search(r"^Depends: (.*?)^Recommends:", control, re.MULTILINE | re.DOTALL)
    assert found
    names = [part.split("|")[-1].split("(")[0].strip() for part in found.group(1).split(",")]
    return sorted("dbus" if name == "dbus-system-bus" else name for name in names if name and "$" not in name)


def base(suite: str) -> Path:
    """The folder of a suite's base system with what the agent depends on, made where it is missing."""
    return made(suite, suite, _depends())


def made(name: str, suite: str, packages: Sequence[str]) -> Path:
    """The folder of a suite's base system with these packages, made where it is missing; ``name`` is for it alone."""
    words = [f"--include={','.join(packages)}", "--aptopt=APT::Install-Recommends false"]
    words += [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("man", "doc", "locale")]
    return bootstrapped(name, suite, packages, ["--variant=minbase", *words])


def bootstrapped(name: str, suite: str, known_by: Sequence[str], options: Sequence[str]) -> Path:
    """The folder of the base system ``name``, made by mmdebstrap where there is none of the key ``known_by``."""
    key = hashlib.sha256(" ".join([suite, *known_by]).encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        for old in CACHE.glob(f"{name}-*"):
            shutil.rmtree(old, ignore_errors=True)
        making = CACHE / f"{name}-making"
        shutil.rmtree(making, ignore_errors=True)  # of a run that was cut off
        mmdebstrap(["--quiet", *options], suite, making)
        making.rename(folder)
    return folder


@dataclass
class AptRoot:
    """One temporary system; a context manager."""

    lower: tuple[Path, ...]
    work: Path
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.work / "root"

    @property
    def upper(self) -> Path:
        return self.work / "upper"

    @property
    def root(self) -> Root:
        return Root(self.path)

    def __enter__(self) -> AptRoot:
        for folder in ("upper", "overlay", "root"):
            (self.work / folder).mkdir(parents=True)
        lower = ":".join(map(str, self.lower))
        options = f"lowerdir={lower},upperdir={self.upper},workdir={self.work / 'overlay'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.path)], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", str(self.path / "proc")], check=True)
        # Without a policy a package's scripts could start services of this machine.
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        for name in ("null", "zero", "urandom"):
            if not (node := self.path / "dev" / name).exists():
                subprocess.run(
                    ["mknod", "-m", "666", str(node), "c", "1", {"null": "3", "zero": "5"}.get(name, "9")], check=True
                )
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        return self

    def let_boot(self) -> None:
        """Leave ``/proc`` to the system's own systemd, and let packages start their services under it."""
        (self.path / "etc/hosts").write_text("127.0.0.1 localhost\n")  # an installer's work; mmdebstrap writes none
        (self.path / "usr/sbin/policy-rc.d").unlink()
        subprocess.run(["umount", str(self.path / "proc")], check=True)

    def freeze(self) -> tuple[Path, ...]:
        """End the system but keep what it became, as the lower layers of others."""
        subprocess.run(["umount", "--recursive", str(self.path)], check=True)
        return (self.upper, *self.lower)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "--recursive", str(self.path)], check=True)
        shutil.rmtree(self.work, ignore_errors=True)

    def run(
        self, *command: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; both streams together in ``stdout``."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **(env or {}),
        }
        done = subprocess.run(
            ["chroot", str(self.path), *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done

    def step(self, step: Step, version: str, urgency: str = "scheduled", name: str = "sample-assistant") -> StepResult:
        """Run a step as its unit would, and read what it left."""
        return self._step(step, StepRequest(name, version, urgency))

    def system_step(self, step: Step, packages: str, name: str = "sample-assistant") -> StepResult:
        """Run a step of the system as its unit would, and read what it left."""
        return self._step(step, SystemRequest(name, packages, datetime.now(UTC)))

    def _step(self, step: Step, request: Request) -> StepResult:
        ticket = Ticket(str(uuid.uuid4()), request)
        write_request(self.root, step, ticket)
        done = self.run("python3", "-m", "pi_hook.worker", step, env={"PYTHONPATH": "/usr/lib/pi-hook"}, check=False)
        print(done.stdout)  # shown by pytest where the test fails
        return read_result(self.root, step, ticket)

    def recover(self) -> int:
        """Run boot repair as its unit would."""
        done = self.run(
            "python3", "-m", "pi_hook.worker", "recover", env={"PYTHONPATH": "/usr/lib/pi-hook"}, check=False
        )
        print(done.stdout)
        return done.returncode

    def version(self, package: str) -> str | None:
        """The version of a wholly installed package."""
        done = self.run(
            "dpkg-query", "-W", "-f", "${db:Status-Status} ${db:Status-Eflag} ${Version}", package, check=False
        )
        words = done.stdout.split()
        return words[2] if words[:2] == ["installed", "ok"] else None

    def copy_in(self, file: Path, to: str) -> str:
        """Copy a file into the system; returns its path there."""
        target = self.path / to.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        return to


def is_root() -> bool:
    """Whether this process may make such systems."""
    return os.geteuid() == 0
