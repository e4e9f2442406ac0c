"""Commands in the documents that `test_console_blocks` does not run, why, and what shows that they work instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotHere:
    """Commands that match ``pattern`` as a whole."""

    pattern: str
    reason: str
    proof: str
    """A make target that runs it, or a test."""


_KEYS = "tests/integration/pkgbuild/test_keys.py"
NOT_HERE = (
    NotHere(r"make serve", "what it starts is what this test runs in", "make demo"),
    NotHere(r"make (test|lint|types|demo|e2e-core)", "minutes, or the whole tree", "make test"),
    NotHere(
        r"sudo pi-hook doctor",
        "looks at a device",
        "tests/integration/pi_hook_hands/test_package.py::test_the_doctor_looks_at_a_real_system",
    ),
    NotHere(
        r"curl .*/onboarding/pi\.sh \| sudo sh .*",
        "on a device, as root",
        "make check-onboarding",
    ),
    NotHere(
        r"make agent",
        "builds a package with debhelper",
        "tests/integration/pi_hook_hands/test_package.py::test_the_command_line_is_there",
    ),
    NotHere(
        r"sudo (env )?PI_OTA_DEBS=build .*|sudo pi-hook check-image ROOT",
        "makes an image of a system, as root",
        "tests/integration/pi_hook_hands/test_image_step.py::test_the_hook_of_mmdebstrap",
    ),
    NotHere(
        r"make release-agent .*",
        "builds a package with debhelper",
        "tests/integration/pkgbuild/test_agent.py::test_what_is_published_is_signed_by_the_builder",
    ),
    NotHere(
        r"tar .*\| gpg .*|gpg .*\| tar .*",
        "asks for a passphrase at a terminal",
        f"{_KEYS}::test_what_the_old_builder_key_has_signed_is_named_and_a_backup_brings_all_of_it_back",
    ),
    NotHere(
        r"pkgbuild keys (rotate|retire) archive",
        "90 days lie between the two",
        f"{_KEYS}::test_the_archive_key_rotates_with_both_signing_meanwhile",
    ),
    NotHere(
        r"pkgbuild keys (rotate|retire|revoke) builder",
        "changes who signs, and is refused while it is in use",
        f"{_KEYS}::test_what_the_old_builder_key_has_signed_is_named_and_a_backup_brings_all_of_it_back",
    ),
    NotHere(
        r"make release …",
        "stands for what the command before it has named",
        "tests/integration/pkgbuild/test_release.py::test_what_is_published_is_signed_anew_and_stays_what_it_is",
    ),
    NotHere(
        r"pkgbuild deb vendor/.*",
        "of packages that somebody else has built",
        "tests/integration/pkgbuild/test_kinds.py::test_a_ready_package_is_published_apart_from_any_release",
    ),
    NotHere(
        r"sudo (install|systemctl|apt) .*",
        "on a device, as root",
        "tests/integration/pi_hook_hands/test_package.py::test_purge_leaves_nothing",
    ),
)
DOCUMENTS: dict[str, str] = {
    "docs/DEVICES.md": "make check-onboarding",
    "docs/GETTING_STARTED.md": "make walk",
    "docs/SERVER.md": "make walk",
}
"""Documents whose commands are run one after the other on a machine of their own, by a make target."""
