"""Two Debian systems that know nothing of pi-ota, booted by systemd-nspawn with a network of their own.

Neither they nor what they start can be reached from anywhere else. Debian's mirror and the package index are reached
through a proxy on the loopback of each, which runs here and asks as this machine does.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import booted as system
from tests.support.apt_root import made
from tests.support.proxy import ForwardProxy

# What every image of Debian that boots has, and sudo, as an installer, a provider or Raspberry Pi OS has it.
PACKAGES = ("systemd-sysv", "dbus", "udev", "sudo")
USER = "you"
_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Host:
    """One of the two: what it is called, and its address in their network."""

    name: str
    address: str
    also: tuple[str, ...] = ()
    """Other names by which it is known."""
    debian: str = "trixie"


@contextmanager
def booted(hosts: Sequence[Host], work: Path) -> Iterator[dict[str, Shell]]:
    """A shell on each of the two hosts, by name, as an ordinary user who may use sudo."""
    with ExitStack() as stack:
        leaders = {}
        for host in hosts:
            root = stack.enter_context(_copy(made(f"walk-{host.debian}", host.debian, PACKAGES), work / host.name))
            _prepare(root, host, hosts)
            options = ["--private-network", "--resolv-conf=off", "--timezone=off"]
            options += [f"--machine={host.name}", f"--hostname={host.name}"]
            leaders[host.name] = stack.enter_context(system.booted(root, options)).leader
        _connect(hosts, leaders)
        for host in hosts:
            proxy = stack.enter_context(_proxy_inside(leaders[host.name]))
            _use_proxy(work / host.name / "root", proxy.port, [other.address for other in hosts] + _names(hosts))
        yield {host.name: stack.enter_context(Shell(leaders[host.name])) for host in hosts}


class Shell:
    """One bash as the user: variables and the working folder last from one command to the next."""

    def __init__(self, leader: int) -> None:
        """``leader`` is the container's first process."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._inside = ["nsenter", "--all", "--target", str(leader), "env", "-i", path, "TERM=dumb", "LC_ALL=C.UTF-8"]
        words = [*self._inside, "runuser", "--login", USER, "--shell", "/bin/bash"]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )

    def run(self, command: str, seconds: float = 900) -> tuple[int, str]:
        """The exit status of a command and what it printed; 124 where it took too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = f"walk-{time.monotonic_ns()}"
        # read from a file, so that the command's own standard input is empty; not in a subshell, so that variables stay
        self._process.stdin.write(
            f"cat > /tmp/{end} <<'{end}'\n{command}\n{end}\n"
            f". /tmp/{end} < /dev/null; set -- $?; echo; echo {end} $1; rm -f /tmp/{end}\n"
        )
        self._process.stdin.flush()
        killer = threading.Timer(seconds, self._process.kill)
        killer.start()
        lines: list[str] = []
        try:
            for line in self._process.stdout:
                if line.startswith(end):
                    return int(line.split()[1]), "".join(lines).removesuffix("\n")
                lines.append(line)
        finally:
            killer.cancel()
        return 124, "".join(lines) + f"\n(ended after {seconds:.0f} s)"

    def as_root(self, *words: str) -> str:
        """What a program prints that is run beside the shell. Raises ``CalledProcessError``."""
        return subprocess.run([*self._inside, *words], check=True, capture_output=True, text=True).stdout

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def _copy(of: Path, work: Path) -> Iterator[Path]:
    """A plain copy: the agent takes a root on an overlay for one that forgets."""
    work.mkdir(parents=True)
    root = work / "root"
    subprocess.run(["cp", "--archive", "--reflink=auto", of, root], check=True)
    try:
        yield root
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _names(hosts: Sequence[Host]) -> list[str]:
    return [name for host in hosts for name in (host.name, *host.also)]


def _prepare(root: Path, host: Host, hosts: Sequence[Host]) -> None:
    """Names, an ordinary user, and the authorities that this machine trusts besides Debian's."""
    (root / "etc/apt/apt.conf.d/99mmdebstrap").unlink()  # apt takes what is recommended, as everywhere
    (root / "etc/hostname").write_text(f"{host.name}\n")
    known = "".join(f"{one.address} {' '.join((one.name, *one.also))}\n" for one in hosts)
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{known}")
    subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
    (root / "etc/sudoers.d/you").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    if _AUTHORITIES.is_dir():
        shutil.copytree(_AUTHORITIES, root / _AUTHORITIES.relative_to("/"), dirs_exist_ok=True)


def _use_proxy(root: Path, port: int, direct: Sequence[str]) -> None:
    """For Debian's own mirrors and for the package index; what is said to the server goes straight to it."""
    url = f"http://127.0.0.1:{port}"
    found: set[str] = set()
    for file in [root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").iterdir()]:
        found |= set(re.findall(r"http://([^/\s]+)", file.read_text() if file.is_file() else ""))
    lines = [f'Acquire::http::Proxy::{mirror} "{url}";\n' for mirror in sorted(found)]
    (root / "etc/apt/apt.conf.d/90walk").write_text("".join(lines))
    variables = {
        "https_proxy": url,
        "no_proxy": ",".join(("127.0.0.1", "localhost", *direct)),
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",  # Debian 12's pip takes no other
    }
    (root / f"home/{USER}/.bash_profile").write_text("".join(f"export {k}={v}\n" for k, v in variables.items()))
    (root / "etc/sudoers.d/walk").write_text(f'Defaults env_keep += "{" ".join(variables)}"\n')


def _connect(hosts: Sequence[Host], leaders: dict[str, int]) -> None:
    """One cable between the two; this machine is not at its end."""
    one, other = (str(leaders[host.name]) for host in hosts)
    words = ["ip", "link", "add", "cable0", "netns", one, "type", "veth", "peer", "name", "cable0", "netns", other]
    subprocess.run(words, check=True)
    for host in hosts:
        inside = ["nsenter", "--net", "--target", str(leaders[host.name]), "ip"]
        subprocess.run([*inside, "address", "add", f"{host.address}/24", "dev", "cable0"], check=True)
        subprocess.run([*inside, "link", "set", "cable0", "up"], check=True)


def _proxy_inside(leader: int) -> ForwardProxy:
    """A proxy that listens on the container's loopback and asks from here: a socket stays in its first network."""
    made: list[ForwardProxy] = []

    def make() -> None:
        with Path(f"/proc/{leader}/ns/net").open() as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        made.append(ForwardProxy())

    thread = threading.Thread(target=make)  # only this thread goes there, and it ends there
    thread.start()
    thread.join()
    return made[0]
