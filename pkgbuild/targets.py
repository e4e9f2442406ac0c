"""The machines a release is built for: a Debian release with its Python, and an architecture."""

from __future__ import annotations

from dataclasses import dataclass

from pkgbuild.errors import Kind, PkgbuildError

PYTHON_OF: dict[str, str] = {"bookworm": "3.11", "trixie": "3.13"}
"""Debian release -> its Python minor version."""

# the newest manylinux wheels that the release's glibc can load (uv names no tag above 2_40; Debian 13 has 2.41)
_GLIBC_OF: dict[str, tuple[int, int]] = {"bookworm": (2, 36), "trixie": (2, 40)}
_MACHINE: dict[str, str] = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
_UV_KNOWS = frozenset({"x86_64", "aarch64"})

ARCHITECTURES: tuple[str, ...] = ("amd64", "arm64", "armhf")
"""Every architecture the repositories carry, whether a release has packages for it or not."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One (Debian release, architecture) that gets packages of its own."""

    debian: str
    architecture: str

    def __post_init__(self) -> None:
        if self.debian not in PYTHON_OF:
            known = ", ".join(sorted(PYTHON_OF))
            raise PkgbuildError(Kind.BAD_INPUT, f"Unknown Debian release {self.debian!r}: use one of {known}.")
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise PkgbuildError(Kind.BAD_INPUT, f"Unknown architecture {self.architecture!r}: use one of {known}.")

    @classmethod
    def parse(cls, words: str) -> Target:
        """``trixie/arm64`` -> Target. Raises ``BAD_INPUT``."""
        debian, slash, architecture = words.partition("/")
        if not slash:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"{words!r} is not a target: write RELEASE/ARCHITECTURE, as trixie/arm64."
            )
        return cls(debian, architecture)

    @property
    def python(self) -> str:
        """The Python minor version, e.g. ``3.13``."""
        return PYTHON_OF[self.debian]

    @property
    def machine(self) -> str:
        """The machine as wheels name it; of armhf ARMv7, since no ARMv6 wheels are published."""
        return _MACHINE[self.architecture]

    @property
    def glibc(self) -> tuple[int, int]:
        """The C library's version, as far as wheels may ask for it."""
        return _GLIBC_OF[self.debian]

    @property
    def uv_platform(self) -> str | None:
        """The value of uv's ``--python-platform``; None where uv knows no such platform (ARMv7)."""
        major, minor = self.glibc
        return f"{self.machine}-manylinux_{major}_{minor}" if self.machine in _UV_KNOWS else None

    @property
    def slug(self) -> str:
        """``trixie-arm64``: names the target's lock file."""
        return f"{self.debian}-{self.architecture}"

    def __str__(self) -> str:
        return f"{self.debian}/{self.architecture}"
