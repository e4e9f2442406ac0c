"""``pi-hook doctor``: looks at everything an update needs, one line each, with the command that mends it.

It changes nothing and asks nothing of the server that would count as contact. A check that cannot be made (no root, no
such program) is a warning: nothing is known to be wrong.
"""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pi_hook.errors import PiHookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Check = Callable[[], Iterator["Finding"]]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Updates go on, or nothing is known."""
    FAIL = "fail"
    """Updates do not happen, or could not be taken back."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    level: Level
    words: str
    mend: str | None = None
    """A command, or what a person does; None where nothing is to be done."""

    def line(self) -> str:
        """For people."""
        words = " ".join(self.words.split())
        return f"{self.level:<5} {self.check:<11} {words}" + (f"; to mend: {self.mend}" if self.mend else "")


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Every check's findings, in order; one that breaks off does not keep the others from being made."""
    for name, check in checks:
        try:
            yield from check()
        except PermissionError:
            yield Finding(name, Level.WARN, "cannot be looked at without root", "sudo pi-hook doctor")
        except (OSError, ValueError, subprocess.SubprocessError, PiHookError) as error:
            yield Finding(name, Level.WARN, f"cannot be looked at: {error}")


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """The form of ``--json`` (docs/INTERFACES.md)."""
    return {
        "ok": all(finding.level is not Level.FAIL for finding in findings),
        "checks": [{**asdict(finding), "level": str(finding.level)} for finding in findings],
    }


def in_words(findings: list[Finding]) -> str:
    """A line for each finding, and how many are bad."""
    bad = sum(finding.level is Level.FAIL for finding in findings)
    warned = sum(finding.level is Level.WARN for finding in findings)
    return "\n".join([*(finding.line() for finding in findings), f"{bad} to mend, {warned} to look at"])
