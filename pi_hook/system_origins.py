"""Whose packages are the system's own: Debian's and Raspberry Pi OS's archives. Pure.

Raspberry Pi OS for 64 bits takes its packages from Debian itself; for 32 bits from Raspbian, which has no archive of
its own for security and brings the fixes in its only one. The Foundation's archive holds kernel, firmware and desktop.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """What a repository's Release file says of itself."""

    origin: str
    codename: str
    label: str

    @property
    def pattern(self) -> str:
        """As unattended-upgrades takes it in ``Origins-Pattern``."""
        return f"origin={self.origin},codename={self.codename},label={self.label}"


def origins(packages: str, codename: str) -> tuple[Origin, ...]:
    """The archives of ``security`` or ``all`` on the Debian release of this name; of ``none`` there are none."""
    security = (
        Origin("Debian", f"{codename}-security", "Debian-Security"),
        Origin("Debian", codename, "Debian-Security"),
        Origin("Raspbian", codename, "Raspbian"),
    )
    more = (
        Origin("Debian", codename, "Debian"),
        Origin("Debian", f"{codename}-updates", "Debian"),
        Origin("Raspberry Pi Foundation", codename, "Raspberry Pi Foundation"),
    )
    return {"none": (), "security": security, "all": security + more}[packages]
