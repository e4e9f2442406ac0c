"""The base systems of each Debian release that the package is looked at in; each is made once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.apt_root import bootstrapped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PLAIN = ("systemd-sysv",)
_TOOLS = ("lintian", "piuparts")
_BOOTED = ("apt-utils", "dbus", "dpkg-dev", "systemd-sysv")


def plain(suite: str) -> Path:
    """apt, what is essential, and systemd, whose own folders no package takes along; nothing else."""
    return bootstrapped(f"plain-{suite}", suite, _PLAIN, _including(_PLAIN))


def for_building(suite: str) -> Path:
    """What Debian's own builders have: build-essential, and none of the package's build dependencies."""
    return bootstrapped(f"build-{suite}", suite, ("buildd",), ["--variant=buildd"])


def with_tools(suite: str) -> Path:
    """The release's own lintian and piuparts."""
    return bootstrapped(f"tools-{suite}", suite, _TOOLS, _including(_TOOLS))


def to_boot(suite: str) -> Path:
    """A system that systemd can boot, and that dpkg-source can unpack a source in; nothing that pi-hook depends on."""
    return bootstrapped(f"booted-{suite}", suite, _BOOTED, _including(_BOOTED))


def _including(packages: Sequence[str]) -> list[str]:
    return ["--variant=minbase", f"--include={','.join(packages)}", "--aptopt=APT::Install-Recommends false"]
