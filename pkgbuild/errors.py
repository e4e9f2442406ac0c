"""What can go wrong for a builder: one root error with a kind, a sentence saying what to do, and an exit code."""

from __future__ import annotations

import errno
from enum import StrEnum


class Kind(StrEnum):
    """The word that programs match on; printed by ``--json`` and stable between versions."""

    BAD_INPUT = "bad_input"
    VERSION_NOT_HIGHER = "version_not_higher"
    MISSING_KEY = "missing_key"
    APTLY_UNREACHABLE = "aptly_unreachable"
    DISK_FULL = "disk_full"
    NO_WHEEL = "no_wheel"
    ANNOUNCE_FAILED = "announce_failed"
    PUBLISH_FAILED = "publish_failed"
    BUILD_FAILED = "build_failed"
    BUSY = "busy"
    INTERNAL = "internal"


EXIT_CODES: dict[Kind, int] = {
    Kind.BAD_INPUT: 2,  # click's own code for a wrong option
    Kind.VERSION_NOT_HIGHER: 3,
    Kind.MISSING_KEY: 4,
    Kind.APTLY_UNREACHABLE: 5,
    Kind.DISK_FULL: 6,
    Kind.NO_WHEEL: 7,
    Kind.ANNOUNCE_FAILED: 8,
    Kind.PUBLISH_FAILED: 9,
    Kind.BUILD_FAILED: 10,
    Kind.BUSY: 11,
    Kind.INTERNAL: 70,  # EX_SOFTWARE of sysexits.h
}


class PkgbuildError(Exception):
    """The only exception that leaves this package on purpose.

    ``kind`` is for programs, ``str(error)`` is one sentence for people: what happened and what to do.
    """

    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind

    @property
    def exit_code(self) -> int:
        """The process exit status for this kind."""
        return EXIT_CODES[self.kind]


_FULL = ("no space left on device", "disk quota exceeded")


def is_disk_full(problem: OSError | str) -> bool:
    """Whether an ``OSError`` or a tool's words say that a disk is full."""
    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = str(problem).lower()
    return any(full in words for full in _FULL)


def disk_full(where: str) -> PkgbuildError:
    """The error for a full disk; ``where`` names the folder or the service whose disk it is."""
    return PkgbuildError(
        Kind.DISK_FULL, f"The disk of {where} is full: make room there and run the same release again."
    )
