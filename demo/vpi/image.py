"""Makes the virtual Pi's disk: Debian 13 by mmdebstrap, the agent put in with apt, ext4 without loop devices.

Two steps are cached, each under the hash of all that went into it: the base (Debian, a minute, needs the mirror) and
the disk (base plus the given .debs, seconds, needs nothing). A change of the recipe changes the hash.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.mmdebstrap import mmdebstrap
from demo.shell import run

RECIPE = Path(__file__).parent / "recipe.json"
OVERLAY = Path(__file__).parent / "overlay"
KEPT_IMAGES = 3
BASE_KEYS = ("suite", "architecture", "packages", "initrd_modules", "excluded_paths")
"""What of the recipe goes into the base; the rest goes into the disk."""


@dataclass(frozen=True, slots=True)
class Disk:
    """What QEMU boots: a raw ext4 root file system, and the kernel and initrd that belong to it."""

    root: Path
    kernel: Path
    initrd: Path


def build_disk(cache: Path, debs: Sequence[Path], say: Callable[[str], None]) -> Disk:
    """Return a disk with the given packages installed, from the cache where it is there.

    ``say`` is told what takes time. Raises ``CommandError`` where mmdebstrap, apt or mke2fs fails.
    """
    with _alone(cache):
        return _build_disk(cache, debs, say)


def base_archive(cache: Path, say: Callable[[str], None]) -> Path:
    """The root file system as a tar archive, without any package of ours; made where the cache does not hold it."""
    with _alone(cache):
        return _base(cache, say)


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One process at a time works on the cache: the demo and tests may want the same image at once."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "vpi.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_disk(cache: Path, debs: Sequence[Path], say: Callable[[str], None]) -> Disk:
    base = _base(cache, say)
    name = _digest(
        base.name.encode(),
        RECIPE.read_bytes(),
        Path(__file__).read_bytes(),
        *(deb.read_bytes() for deb in sorted(debs)),
        *_overlay_bytes(),
    )
    folder = cache / f"vpi-disk-{name}"
    if not folder.exists():
        say(f"virtual Pi: installing {', '.join(deb.name for deb in debs) or 'nothing'} into the image")
        _sweep(cache, "vpi-disk-*")
        with _work_folder(cache) as work:
            _fill(work, base, debs, _recipe())
            (work / "disk").rename(folder)
    folder.touch()
    return Disk(folder / "root.ext4", folder / "vmlinuz", folder / "initrd.img")


def _base(cache: Path, say: Callable[[str], None]) -> Path:
    recipe = _recipe()
    archive = cache / f"vpi-base-{_digest(json.dumps({key: recipe[key] for key in BASE_KEYS}).encode())}.tar"
    if archive.exists():
        return archive
    _sweep(cache, "vpi-base-*")
    say(f"virtual Pi: making the Debian {recipe['suite']} image (about a minute, once)")
    modules = "\\n".join(recipe["initrd_modules"])
    hooks = [
        # The initrd is loaded by an emulated processor: only what mounts the root file system goes in.
        '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
        '--essential-hook=echo MODULES=list > "$1/etc/initramfs-tools/conf.d/vpi"',
        f"--essential-hook=printf '{modules}\\n' > \"$1/etc/initramfs-tools/modules\"",
    ]
    partial = archive.with_suffix(".partial.tar")
    words = [
        "--variant=minbase",
        f"--architectures={recipe['architecture']}",
        f"--include={','.join(recipe['packages'])}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *[f"--dpkgopt=path-exclude={path}" for path in recipe["excluded_paths"]],
        *hooks,
    ]
    mmdebstrap(words, recipe["suite"], partial, say=lambda text: say(f"virtual Pi: {text}"), env={"TMPDIR": str(cache)})
    run(["chown", f"{os.getuid()}:{os.getgid()}", partial], root=True)
    partial.rename(archive)
    return archive


def _fill(work: Path, base: Path, debs: Sequence[Path], recipe: dict[str, Any]) -> None:
    """Unpack the base, let apt install the packages, lay the overlay over it and make the file system from it."""
    tree, disk = work / "tree", work / "disk"
    disk.mkdir()
    run(["mkdir", tree], root=True)
    run(["tar", "--extract", "--file", base, "--directory", tree, "--numeric-owner"], root=True)
    if debs:
        run(["mkdir", tree / "debs"], root=True)
        for deb in debs:
            run(["cp", deb, tree / "debs"], root=True)
        inside = [f"/debs/{deb.name}" for deb in debs]
        # Services start at boot, not in the chroot.
        run(["chroot", tree, "sh", "-c", "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d"], root=True)
        run(["chroot", tree, "chmod", "755", "/usr/sbin/policy-rc.d"], root=True)
        run(
            ["chroot", tree, "apt-get", "install", "--yes", "--no-install-recommends", *inside],
            root=True,
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )
        run(["chroot", tree, "rm", "-r", "/usr/sbin/policy-rc.d", "/debs"], root=True)
    run(["cp", "-rT", "--no-preserve=ownership", OVERLAY, tree], root=True)
    for unit in recipe["enabled_units"]:
        run(["chroot", tree, "systemctl", "--quiet", "enable", unit], root=True)
    # Nothing that a Pi does for an assistant, and each costs an emulated processor a second of every boot.
    run(["chroot", tree, "systemctl", "--quiet", "mask", *recipe["masked_units"]], root=True)
    # What systemd does once after each change of /usr is done already, as on an image that was started before.
    run(["chroot", tree, "touch", "/etc/.updated", "/var/.updated"], root=True)
    run(["cp", "-L", tree / "vmlinuz", disk / "vmlinuz"], root=True)
    run(["cp", "-L", tree / "initrd.img", disk / "initrd.img"], root=True)
    image = disk / "root.ext4"
    run(["truncate", f"--size={recipe['disk_size']}", image])
    run(["mke2fs", "-q", "-t", "ext4", "-d", tree, image], root=True)
    run(["chown", "-R", f"{os.getuid()}:{os.getgid()}", disk], root=True)


def _recipe() -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads(RECIPE.read_text())
    return recipe


class _work_folder:  # noqa: N801 -- a context manager used like a function
    """A folder that root may fill and that is gone afterwards, whatever happens."""

    def __init__(self, parent: Path) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="vpi-work-", dir=parent))

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *exc: object) -> None:
        run(["rm", "-rf", "--one-file-system", self._path], root=True)


def _sweep(cache: Path, pattern: str) -> None:
    """Make room: of earlier images only the last used stay, since a virtual Pi may be running on one of them."""
    by_age = sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[KEPT_IMAGES:]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _overlay_bytes() -> list[bytes]:
    files = sorted(path for path in OVERLAY.rglob("*") if path.is_file())
    return [part for path in files for part in (str(path.relative_to(OVERLAY)).encode(), path.read_bytes())]


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]
