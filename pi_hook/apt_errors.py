"""What apt, dpkg and unattended-upgrades say, sorted into our problems: pure. Exit codes lie, their words do not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pi_hook.ports import Problem

_MAX_CHARACTERS = 600
# libapt joins all of its errors into one line.
_LINES = re.compile(r"\n|, (?=[EW]:)")

# In this order: a specific cause before the general words that follow it in the same output.
_CAUSES: tuple[tuple[Problem, re.Pattern[str]], ...] = tuple(
    (problem, re.compile(pattern, re.IGNORECASE))
    for problem, pattern in (
        (Problem.UNTRUSTED, r"pi-hook: .* is refused|pi-hook: the check itself failed|not a readable Debian package"),
        (Problem.DISK_FULL, r"no space left on device|(?:not|n't) (?:have )?enough free space|disk quota exceeded"),
        (Problem.READ_ONLY_ROOT, r"read-only file system"),
        (
            Problem.APT_LOCKED,
            (
                r"could not get lock|lock could not be acquired|unable to (?:acquire|lock)|is another process using it"
                r"|frontend lock was locked|lock file is already taken"
            ),
        ),
        # What a failing maintainer script prints is not looked at for other causes.
        (Problem.DPKG_FAILED, r"dpkg: error processing"),
        (Problem.REFUSED, r"\b40[13] +[a-z]|\b410 +gone"),
        # Before what follows from it: without an InRelease apt also says that the repository is not signed.
        (
            Problem.UNREACHABLE,
            (
                r"could not connect|unable to connect|connection (?:failed|refused|reset|timed out|closed)|timed? ?out"
                r"|could not resolve|temporary failure|network is unreachable|no route|\b50[0-9] +[a-z]|error reading"
                r"|could not handshake|certificate verif|\b407 +proxy"
            ),
        ),
        # A wrong clock or a frozen mirror: nothing is known to be forged, and tomorrow's lists may be good.
        (Problem.NOT_PUBLISHED, r"is expired|is not valid yet|does not have a release file|\b404 +not found"),
        (
            Problem.UNTRUSTED,
            (
                r"hash sum mismatch|hashes of expected file|unexpected size|no_pubkey|badsig|not signed|gpg error"
                r"|signature|clearsigned|changed its '|malformed|no hash|sqv|splitting up|keyring"
            ),
        ),
        (Problem.UNREACHABLE, r"failed to fetch"),
        (
            Problem.DEPENDENCY_BLOCKED,
            (
                r"unmet dependencies|but it is not (?:going to be installed|installable)|held broken packages|kept back"
                r"|not in an allowed origin|packages have been kept|not on the strict whitelist|broken packages"
            ),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something failed, with the line that says so."""

    problem: Problem
    line: str


def cause(text: str, otherwise: Problem) -> Cause:
    """The most telling problem in some output; ``otherwise``, with its last error line, where none is known."""
    lines = [cleaned for raw in _LINES.split(text) if (cleaned := " ".join(raw.split()))]
    for problem, pattern in _CAUSES:
        for number, line in enumerate(lines):
            if pattern.search(line):
                # dpkg gives the reason in the line after.
                reason = lines[number + 1 : number + 2] if line.endswith(":") else []
                return Cause(problem, _short(" ".join([line, *reason])))
    errors = [line for line in lines if re.match(r"(?:E:|W:|dpkg(?:-deb)?: |Err|ERROR)", line)]
    return Cause(otherwise, _short("; ".join(errors[-3:]) or " / ".join(lines[-2:])))


def _short(line: str) -> str:
    return line if len(line) <= _MAX_CHARACTERS else line[: _MAX_CHARACTERS - 1] + "…"


class StepError(Exception):
    """A step cannot do its work: the problem, and a sentence for people."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem = problem
