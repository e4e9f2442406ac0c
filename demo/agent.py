"""The device agent on a disk: its Debian package is built and installed with the fleet's keyring package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from demo.shell import PROJECT, run
from demo.stack import Stack
from demo.vpi.image import Disk, build_disk


def disk_with_agent(stack: Stack, cache: Path, say: Callable[[str], None]) -> Disk:
    """A disk with `pi-hook` built from this checkout and with the keys of this stack. Raises ``CommandError``."""
    # Beside the keys, and so as long-lived as they are: it is signed, hence of other bytes each time it is built.
    keyring = next(iter(sorted((stack.state / "keys").glob("*.deb"))), None) or Path(
        stack.pkgbuild("keys", "package", "--output", str(stack.state / "keys")).strip().splitlines()[-1]
    )
    return build_disk(cache, [keyring, _agent()], say)


def _agent() -> Path:
    """`pi-hook` as a package; built where no package is newer than every source file."""
    sources = [path for folder in ("debian", "pi_hook") for path in (PROJECT / folder).rglob("*") if path.is_file()]
    changed = max(path.stat().st_mtime for path in sources if path.suffix != ".pyc")
    built = [deb for deb in (PROJECT / "build").glob("pi-hook_*_all.deb") if deb.stat().st_mtime > changed]
    return built[0] if built else Path(run([PROJECT / "debian" / "build"], cwd=PROJECT).strip().splitlines()[-1])
