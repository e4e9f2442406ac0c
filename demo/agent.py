"""The device agent on a disk: its Debian package is built and installed with the fleet's keyring package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from demo.shell import PROJECT, run
from demo.stack import Stack
from demo.vpi.image import Disk, build_disk


def disk_with_agent(stack: Stack, cache: Path, say: Callable[[str], None]) -> Disk:
    """A disk with `pi-hook` built from this checkout and with the keys of this stack. Raises ``CommandError``."""
    keyring = Path(stack.pkgbuild("keys", "package", "--output", str(stack.state)).strip().splitlines()[-1])
    agent = Path(run([PROJECT / "debian" / "build"], cwd=PROJECT).strip().splitlines()[-1])
    return build_disk(cache, [keyring, agent], say)
