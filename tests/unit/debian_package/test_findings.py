"""What the tools printed, read: a finding that is missed here would be one that nobody ever sees."""

from __future__ import annotations

import pytest

from tests.debian_package import findings
from tests.debian_package.findings import Outcome, Tag

PRINTED = """\
E: pi-hook source: source-is-missing [a.min.js]
W: pi-hook: executable-not-elf-or-script [usr/bin/pi-hook]
I: pi-hook source: out-of-date-standards-version 4.6.2 (released 2022-12-17) (current is 4.7.2)
P: pi-hook changes: some-pedantic-tag
N: The daemon is restarted without waiting, which deb-systemd-invoke cannot
N: do.
N:
O: pi-hook: maintainer-script-calls-systemctl [postinst:74]
X: pi-hook: experimental-tag
"""


def test_every_finding_of_lintian_is_read() -> None:
    found = findings.lintian(PRINTED)
    assert [tag.level for tag in found] == ["E", "W", "I", "P", "O", "X"]
    assert found[0] == Tag("E", "pi-hook source", "source-is-missing", "[a.min.js]")
    assert found[3] == Tag("P", "pi-hook changes", "some-pedantic-tag", "")
    assert findings.counted(found) == "1 errors, 1 warnings, 1 infos, 1 pedantic, 1 overridden"
    assert [sentence[:2] for sentence in findings.unreviewed(found)] == ["E:", "W:", "I:", "P:"]


def test_nothing_found_is_told_as_nothing() -> None:
    assert findings.counted(findings.lintian("\n")) == "0 errors, 0 warnings"
    assert findings.unreviewed(findings.lintian("O: pi-hook: maintainer-script-calls-systemctl *\n")) == []


def test_words_that_are_no_finding_are_not_passed_over() -> None:
    with pytest.raises(ValueError, match="warning: cannot run"):
        findings.lintian("warning: cannot run a check\n")


def test_every_test_of_autopkgtest_is_read() -> None:
    summary = (
        "smoke                PASS (superficial)\n"
        "daemon               SKIP Test requires machine-level isolation but testbed does not provide that\n"
        "unattended-upgrades  FAIL non-zero exit status 1\n"
        "later                FLAKY stderr: words\n"
        "signatures           PASS\n"
    )
    assert findings.autopkgtest(summary) == [
        Outcome("smoke", "PASS", "(superficial)"),
        Outcome("daemon", "SKIP", "Test requires machine-level isolation but testbed does not provide that"),
        Outcome("unattended-upgrades", "FAIL", "non-zero exit status 1"),
        Outcome("later", "FLAKY", "stderr: words"),
        Outcome("signatures", "PASS", ""),
    ]


@pytest.mark.parametrize("summary", ["", "smoke PASSED\n", "something went wrong\n"])
def test_a_summary_of_another_form_is_no_success(summary: str) -> None:
    with pytest.raises(ValueError, match="summary"):
        findings.autopkgtest(summary)


def test_what_piuparts_found() -> None:
    printed = (
        "0m19.4s INFO: PASS: Installation and purging test.\n"
        "0m20.3s ERROR: FAIL: Package purging left files on system:\n"
        "  /etc/pi-hook/\t not owned\n"
        "  /var/lib/pi-hook/\t not owned\n"
        "\n"
        "0m21.0s ERROR: FAIL: Installation and purging test.\n"
        "0m21.0s DEBUG: Command failed (status=100), but ignoring error\n"
        "  E: No packages found\n"
        "0m21.0s ERROR: piuparts run ends.\n"
    )
    assert findings.piuparts(printed) == [
        "FAIL: Package purging left files on system:",
        "/etc/pi-hook/\t not owned",
        "/var/lib/pi-hook/\t not owned",
        "FAIL: Installation and purging test.",
    ]
    # A symlink of systemd's own, which leads nowhere in a system without a keyboard.
    warned = "0m9.1s ERROR: WARN: Broken symlinks:\n  /etc/vconsole.conf -> default/keyboard\n"
    assert findings.piuparts(f"{warned}0m21.0s INFO: PASS: All tests.\n") == []
