"""Installing, upgrading, removing and purging in a real system of each Debian release: nothing is left behind.

piuparts does the same in a chroot of its own making; here the system is an overlay, whose upper folder holds exactly
what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from debian.deb822 import Deb822
from debian.debfile import DebFile

from tests.support.apt_root import AptRoot, base
from tests.support.traces import changed, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def wrong(name: str, debian: str, first: Sequence[Path], second: Sequence[Path], work: Path) -> Iterator[str]:
    """A sentence for everything that is not as it should be."""
    with AptRoot((base(debian),), work) as device:
        _bring_dependencies(device, [*first, *second])
        before = state(device.upper)
        for debs in (first, second):
            yield from _install(device, name, debs)
        layers = sorted({_package(deb) for deb in (*first, *second)} - {name})
        yield from _failed(device, "dpkg", "--remove", name)
        if (device.path / f"var/lib/{name}/current").is_symlink():
            yield f"{name} on {debian}: `current` is there after removal"
        yield from _failed(device, "dpkg", "--purge", name, *layers)
        left = device.run("dpkg-query", "--show", f"{name}*", check=False).stdout
        if "no packages found" not in left:
            yield f"{name} on {debian}: dpkg still knows of {left.strip()}"
        after = state(device.upper)
        yield from (f"{name} on {debian} left behind or changed /{path}" for path in changed(before, after))


def _install(device: AptRoot, name: str, debs: Sequence[Path]) -> Iterator[str]:
    paths = [device.copy_in(deb, f"/root/{deb.name}") for deb in debs]
    yield from _failed(device, "dpkg", "--install", *paths)
    version = next(_version(deb) for deb in debs if _package(deb) == name)
    current = device.path / f"var/lib/{name}/current"
    if not any("-app-" in _package(deb) for deb in debs):
        return
    if not current.is_symlink() or current.readlink().name != version:
        yield f"{name} {version}: `current` does not name it after its installation"
        return
    release = f"/usr/lib/{name}/releases/{version}"
    if not list((device.path / release.lstrip("/")).rglob("__pycache__")):
        yield f"{name} {version}: nothing is compiled"
    if name not in (device.path / "etc/passwd").read_text():
        yield f"{name} {version}: there is no system user"
    enabled = [link.name for link in (device.path / "etc/systemd").rglob("*.wants/*")]
    if f"{name}.service" not in enabled:
        yield f"{name} {version}: its unit is not enabled"
    run = device.run(f"{release}/run", "--python", "-c", "import sitecustomize", check=False)
    if run.returncode:
        yield f"{name} {version}: its Python does not start: {run.stdout.strip()}"


def _bring_dependencies(device: AptRoot, debs: Sequence[Path]) -> None:
    """What the packages need of Debian itself; the packages are installed by dpkg alone."""
    own = {_package(deb) for deb in debs}
    wanted = {
        alternative.split("(")[0].strip()
        for deb in debs
        for dependency in _control(deb).get("Depends", "").split(",")
        if (alternative := dependency.split("|")[0].strip())
    }
    device.run("apt-get", "update")
    device.run("apt-get", "install", "--yes", "--no-install-recommends", *sorted(wanted - own))


def _failed(device: AptRoot, *command: str) -> Iterator[str]:
    done = device.run(*command, check=False)
    if done.returncode:
        yield f"{' '.join(command[:2])} ended with {done.returncode}: {done.stdout.strip()[-800:]}"


def _control(deb: Path) -> Deb822:
    with DebFile(deb) as opened:
        return opened.debcontrol()


def _package(deb: Path) -> str:
    return deb.name.partition("_")[0]


def _version(deb: Path) -> str:
    return deb.name.split("_")[1]
