"""The device agent on a disk: its Debian package is built and installed with the fleet's keyring package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from demo.shell import PROJECT, run
from demo.stack import Stack
from demo.vpi.image import Disk, build_disk
from demo.vpi.machine import BUTTON_DEVICE, SERVER_ADDRESS, SERVER_URL

HEARTBEAT_SECONDS = 5
"""The shortest that the agent takes."""


def disk_with_agent(stack: Stack, cache: Path, say: Callable[[str], None]) -> Disk:
    """A disk with `pi-hook` built from this checkout and with the keys of this stack. Raises ``CommandError``."""
    # Beside the keys, and so as long-lived as they are: it is signed, hence of other bytes each time it is built.
    keyring = next(iter(sorted((stack.state / "keys").glob("*.deb"))), None) or Path(
        stack.pkgbuild("keys", "package", "--output", str(stack.state / "keys")).strip().splitlines()[-1]
    )
    return build_disk(cache, [keyring, _agent()], say)


def first_boot_settings(
    stack: Stack,
    assistant: str,
    *,
    idle_required_seconds: int,
    soak_seconds: int,
    quiet_seconds: int = 5,
    timezone: str | None = "Europe/Berlin",
) -> dict[str, bytes]:
    """What goes onto the boot partition of a virtual Pi: `pi-hook.toml` with waits that a person can sit through.

    Without ``timezone`` the agent goes by the zone of the system.
    """
    zone = f'timezone = "{timezone}"\n' if timezone is not None else ""
    text = f"""\
[server]
url = "{SERVER_URL}"
plain_http_hosts = ["{SERVER_ADDRESS}"]

[enrollment]
token = "{stack.secret("enrollment_token")}"

[device]
{zone}heartbeat_seconds = {HEARTBEAT_SECONDS}

[assistant]
name = "{assistant}"

[window]
quiet_seconds = {quiet_seconds}

[urgent]
idle_required_seconds = {idle_required_seconds}

[activity]
evdev = ["{BUTTON_DEVICE}"]

[health]
soak_seconds = {soak_seconds}
"""
    return {"pi-hook.toml": text.encode()}


def _agent() -> Path:
    """`pi-hook` as a package; built where no package is newer than every source file."""
    sources = [path for folder in ("debian", "pi_hook") for path in (PROJECT / folder).rglob("*") if path.is_file()]
    changed = max(path.stat().st_mtime for path in sources if path.suffix != ".pyc")
    built = [deb for deb in (PROJECT / "build").glob("pi-hook_*_all.deb") if deb.stat().st_mtime > changed]
    return built[0] if built else Path(run([PROJECT / "debian" / "build"], cwd=PROJECT).strip().splitlines()[-1])
