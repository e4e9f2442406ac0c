"""Publishing the packages that keep devices themselves up to date: the agent, and the fleet's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pkgbuild import packages, ready, versions
from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from pathlib import Path

    from pkgbuild.config import Settings
    from pkgbuild.progress import Progress

PACKAGES = ("pi-hook", "pi-ota-keyring")
"""What a device takes from the fleet's repository besides releases."""
STEPS = packages.STEPS


def publish(settings: Settings, path: Path, channel: str, progress: Progress, *, again: bool = False) -> dict[str, Any]:
    """Sign one of these packages and publish it for every Debian release of the settings; no one has to grant it.

    The same version goes from one channel to another as the very same bytes; with ``again`` it may be on this one
    already. Raises ``PkgbuildError``; then nothing has changed.
    """
    one = ready.read(path)
    if one.package not in PACKAGES:
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{path.name} is the package {one.package}; devices take {' and '.join(PACKAGES)} in this way.",
        )
    version = versions.check_version(one.fields.version)
    done = packages.publish(settings, [one], channel, progress, again=again)
    return {"name": one.package, "version": version, **done}
