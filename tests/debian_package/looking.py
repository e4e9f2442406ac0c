"""The release's own lintian and piuparts, and autopkgtest, on what was built."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.debian_package import findings
from tests.debian_package.systems import plain, to_boot, with_tools
from tests.support.apt_root import AptRoot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.debian_package.building import Built
    from tests.debian_package.findings import Outcome, Tag

_TESTBED = Path(__file__).with_name("testbed.py")
_TEST_SECONDS = 1200
_REVIEWED = {
    ("bookworm", "package-supports-alternative-init-but-no-init.d-script", ""): "see debian/README.source",
    ("trixie", "unused-override", "newer-standards-version"): "it is Debian 12's lintian that needs it",
}
"""(suite, tag, how its details begin) -> why it is neither mended nor overridden."""


def lintian(suite: str, built: Built, work: Path) -> tuple[list[str], str]:
    """What nobody has reviewed of its findings on source, binary and .changes, down to pedantic; and all counted."""
    with AptRoot((with_tools(suite),), work) as system:
        for path in built.folder.iterdir():
            system.copy_in(path, f"/build/{path.name}")
        words = ["lintian", "--allow-root", "--no-cfg", "--display-info", "--pedantic", "--show-overrides"]
        printed = system.run(*words, "--tag-display-limit", "0", f"/build/{built.changes.name}", check=False)
        version = system.run("dpkg-query", "--show", "--showformat=${Version}", "lintian").stdout
    if printed.returncode:  # by default it fails for errors, which are findings all the same
        problems = findings.unreviewed(findings.lintian(printed.stdout))
        return problems or [f"lintian ended with {printed.returncode}: {printed.stdout[-800:]}"], f"lintian {version}"
    tags = findings.lintian(printed.stdout)
    left, known = _split(suite, tags)
    counted = findings.counted(left)
    more = f", {len(known)} reviewed" if known else ""
    return findings.unreviewed(left), f"{counted}{more} (lintian {version})"


def _split(suite: str, tags: list[Tag]) -> tuple[list[Tag], list[Tag]]:
    known = [
        tag
        for tag in tags
        if any((suite, tag.name) == (one, name) and tag.details.startswith(how) for one, name, how in _REVIEWED)
    ]
    return [tag for tag in tags if tag not in known], known


def piuparts(suite: str, built: Built, work: Path) -> tuple[list[str], str]:
    """Debian's own check of installing and purging, from a system that has little more than apt and systemd."""
    with AptRoot((with_tools(suite),), work) as system:
        deb = system.copy_in(built.deb, f"/build/{built.deb.name}")
        with _bound(plain(suite), system.path / "plain"):
            words = ["piuparts", "--existing-chroot=/plain", f"--distribution={suite}", "--no-eatmydata"]
            done = system.run(*words, deb, check=False)
        version = system.run("dpkg-query", "--show", "--showformat=${Version}", "piuparts").stdout
    wrong = findings.piuparts(done.stdout)
    if done.returncode and not wrong:
        wrong = [f"piuparts ended with {done.returncode}: {done.stdout[-800:]}"]
    if "PASS: Installation and purging test." not in done.stdout and not wrong:
        wrong = ["piuparts does not say that it installed and purged"]
    return wrong, f"installed into little more than systemd and apt, purged (piuparts {version})"


@contextmanager
def _bound(folder: Path, at: Path) -> Iterator[None]:
    at.mkdir()
    subprocess.run(["mount", "--bind", "--options", "ro", folder, at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def autopkgtest(suite: str, built: Built, work: Path) -> list[Outcome]:
    """The source package's own tests against the binary package, in a container that systemd has booted."""
    work.mkdir(parents=True)
    summary = work / "summary"
    words = ["autopkgtest", "--no-built-binaries", "--setup-commands", "apt-get --quiet update"]
    words += [f"--timeout-test={_TEST_SECONDS}", "--output-dir", str(work / "output"), "--summary-file", str(summary)]
    testbed = ["--", sys.executable, str(_TESTBED), str(work / "testbed"), str(to_boot(suite))]
    done = subprocess.run(
        [*words, str(built.deb), str(built.dsc), *testbed],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if not summary.is_file() or not summary.read_text():
        raise RuntimeError(f"autopkgtest ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return findings.autopkgtest(summary.read_text())


def judged(tested: Outcome, work: Path) -> tuple[list[str], str]:
    """How one test counts: one that was skipped has shown nothing, so it is wrong here, where all can run."""
    if tested.result == "PASS":
        return [], f"passed {tested.details}".strip()
    said = "".join(path.read_text(errors="replace") for path in sorted((work / "output").glob(f"{tested.name}-std*")))
    return [f"{tested.result} {tested.details}", *said.splitlines()[-20:]], "it did not pass"
