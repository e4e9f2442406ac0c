"""What apt really says, as seen on Debian 12 and 13, sorted into problems."""

from __future__ import annotations

import pytest

from pi_hook.apt_errors import cause
from pi_hook.ports import Problem

SAID = [
    ("http://h/InRelease: 401  Unauthorized [IP: 127.0.0.1 8000]", Problem.REFUSED),
    ("E:Failed to fetch http://h/InRelease  403  Forbidden, E:The repository 'h' is not signed.", Problem.REFUSED),
    ("E:Failed to fetch http://h/InRelease 410  Gone", Problem.REFUSED),
    ("E:Failed to fetch http://h/ 503 Service Unavailable, E:The repository 'h' is not signed.", Problem.UNREACHABLE),
    ("Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)", Problem.UNREACHABLE),
    ("Temporary failure resolving 'updates.example.org'", Problem.UNREACHABLE),
    ("http://h/Packages.gz: Hash Sum mismatch\n   Hashes of expected file:", Problem.UNTRUSTED),
    ("The following signatures couldn't be verified: NO_PUBKEY 0123456789ABCDEF", Problem.UNTRUSTED),
    ("E: Repository 'h stable InRelease' changed its 'Origin' value from 'a' to 'b'", Problem.UNTRUSTED),
    ("E: Release file for http://h/InRelease is expired (invalid since 1d 2h).", Problem.NOT_PUBLISHED),
    ("E: Release file for http://h/InRelease is not valid yet (invalid for another 2d).", Problem.NOT_PUBLISHED),
    ("E:The repository 'http://h stable Release' does not have a Release file.", Problem.NOT_PUBLISHED),
    ("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt)", Problem.APT_LOCKED),
    ("ERROR Lock could not be acquired (another package manager running?)", Problem.APT_LOCKED),
    ("dpkg: error: dpkg frontend lock was locked by another process with pid 7", Problem.APT_LOCKED),
    ("cannot copy extracted data for './usr/x': failed to write (No space left on device)", Problem.DISK_FULL),
    ("E: You don't have enough free space in /var/lib/pi-hook/archives/.", Problem.DISK_FULL),
    ("unable to create '/usr/x.dpkg-new': Read-only file system", Problem.READ_ONLY_ROOT),
    (" kitchen : Depends: libx but it is not installable\nE: held broken packages.", Problem.DEPENDENCY_BLOCKED),
    ("INFO Package kitchen is kept back because a related package is kept back", Problem.DEPENDENCY_BLOCKED),
    ("pi-hook: k_1.deb is refused: it carries no builder signature.\nE: Sub-process returned 1", Problem.UNTRUSTED),
]


@pytest.mark.parametrize(("text", "problem"), SAID)
def test_words_of_apt_and_dpkg(text: str, problem: Problem) -> None:
    assert cause(text, Problem.DPKG_FAILED).problem is problem


def test_dpkgs_own_reason_follows_in_the_next_line() -> None:
    said = (
        "connection refused, says a script\ndpkg: error processing package x (--configure):\n exit status 7\nkept back"
    )
    found = cause(said, Problem.DPKG_FAILED)
    assert found.problem is Problem.DPKG_FAILED
    assert found.line == "dpkg: error processing package x (--configure): exit status 7"


def test_an_unknown_failure_keeps_its_last_error_lines() -> None:
    found = cause("chatter\ndpkg: warning: x\nE: Sub-process\nend", Problem.DPKG_FAILED)
    assert found.problem is Problem.DPKG_FAILED
    assert found.line == "dpkg: warning: x; E: Sub-process"


def test_nothing_said() -> None:
    assert cause("", Problem.DPKG_FAILED).line == ""


def test_a_port_or_a_size_is_no_status() -> None:
    assert cause("http://h:4043/x 403 kB: odd", Problem.DPKG_FAILED).problem is not Problem.UNREACHABLE


def test_long_lines_are_cut() -> None:
    assert len(cause("E: " + "x" * 5000, Problem.DPKG_FAILED).line) == 600
