"""``python -m tests.packages``: build the packages of several payloads for every target, and look at them closely."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pkgbuild.targets import Target
from tests.packages import contents, lifecycle, user_unit
from tests.packages.payloads import SUBJECTS, Subject

_NO_WHEEL = 7
_UMASKS = (0o022, 0o077)
_FILE = Path("build/check-packages.json")


class Report:
    """What was looked at and what was wrong."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self._began = time.monotonic()

    def add(self, check: str, subject: str, wrong: Sequence[str], words: str) -> None:
        """One check of one payload; it is well where nothing is wrong."""
        seconds = round(time.monotonic() - self._began, 1)
        self.rows.append({"check": check, "payload": subject, "wrong": list(wrong), "words": words, "at": seconds})
        print(f"  {'failed' if wrong else 'ok':<7}{check:<13}{subject:<19}{words}", flush=True)
        for sentence in wrong:
            print(f"         {sentence}", flush=True)

    @property
    def failed(self) -> int:
        """How many checks found something wrong."""
        return sum(bool(row["wrong"]) for row in self.rows)


def main() -> int:
    """The exit status is 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.packages", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="one payload (again for more)")
    parser.add_argument("--output", type=Path, default=Path("build/packages"), help="where the packages stay")
    given = parser.parse_args()
    chosen = [subject for subject in SUBJECTS if not given.only or subject.name in given.only]
    report = Report()
    with tempfile.TemporaryDirectory(prefix="pi-ota-packages-") as folder:
        for subject in chosen:
            _look_at(subject, Path(folder, subject.name), given.output / subject.name, report)
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    _FILE.write_text(json.dumps(report.rows, indent=1) + "\n")
    print(f"{len(report.rows)} checks, {report.failed} failed; {_FILE} has them all")
    return 1 if report.failed or not report.rows else 0


def _look_at(subject: Subject, work: Path, output: Path, report: Report) -> None:
    shutil.rmtree(output, ignore_errors=True)
    locks = work / "locks"  # as a builder commits them
    folders = [
        _build(
            subject,
            version,
            work / f"one-{version}",
            output / version,
            # the first is there to be upgraded from
            targets=[target for target in subject.targets if target.architecture == "amd64" or number],
            locks=locks,
            umask=_UMASKS[0],
        )
        for number, version in enumerate(subject.versions)
    ]
    targets = ", ".join(sorted({target.architecture for target in subject.targets}))
    debians = ", ".join(sorted({target.debian for target in subject.targets}))
    debs = {target: [sorted((folder / target.slug).glob("*.deb")) for folder in folders] for target in subject.targets}
    size = sum(deb.stat().st_size for both in debs.values() for deb in {*both[0], *both[1]})
    report.add("built", subject.name, [], f"{debians}; {targets}: {size / 1e6:.1f} MB of packages")

    if subject.without is not None:
        target, projects = subject.without
        said = _refusal(subject, work / "without", target)
        named = next((project for project in projects if f" of {project} " in said), None)
        fits = named is not None and f"for {target}" in said and "[[payload.overrides]]" in said
        report.add("no wheel", subject.name, [] if fits else [said], f"{target}: {named} is named, and the ways out")

    again = [target for target in subject.twice if target in subject.targets]
    elsewhere, out = work / "elsewhere/two", work / "again"
    second = _build(subject, subject.versions[1], elsewhere, out, targets=again, locks=locks, umask=_UMASKS[1])
    differ = [
        f"{deb.name} for {target} is other bytes in another folder, at another time, with another umask"
        for target in again
        for deb in debs[target][1]
        if _sha256(deb) != _sha256(second / target.slug / deb.name)
    ]
    report.add("reproducible", subject.name, differ, f"{len(again)} targets built twice, compared by SHA-256")

    layered = subject.name != "classic-assistant"
    wrong: list[str] = []
    for number, target in enumerate(subject.targets):
        place = work / f"contents-{number}"
        place.mkdir()
        wrong += contents.wrong(debs[target][1], target, place, compiled=subject.compiled, layered=layered)
        shutil.rmtree(place)
    report.add("contents", subject.name, wrong, "machine of every shared object, ARMv7 marks, documents, md5sums")

    if layered:
        every = sorted({deb for both in debs.values() for deb in both[1]})
        report.add("lintian", subject.name, list(contents.lintian(every)), f"{len(every)} packages: errors, warnings")

    for target in subject.targets:
        if target.architecture == "amd64":
            place = work / f"system-{target.debian}"
            first, then = debs[target]
            wrong = list(lifecycle.wrong(subject.name, target.debian, first, then, place))
            words = f"{target.debian}: installed, upgraded, removed, purged; nothing is left"
            report.add("lifecycle", subject.name, wrong, words)
            if subject.name == user_unit.NAME:
                wrong = list(user_unit.wrong(target.debian, first, then, work / f"booted-{target.debian}"))
                words = f"{target.debian}: under a real systemd, by the agent's own code"
                report.add("user unit", subject.name, wrong, words)


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _build(
    subject: Subject, version: str, work: Path, output: Path, *, targets: Sequence[Target], locks: Path, umask: int
) -> Path:
    with _umask(umask):
        work.mkdir(parents=True)
        subject.write(work, version)
        if locks.is_dir():
            shutil.copytree(locks, work / "locks", dirs_exist_ok=True)
        done = _pkgbuild(work, version, output, targets)
        if (work / "locks").is_dir():
            shutil.copytree(work / "locks", locks, dirs_exist_ok=True)
    if done.returncode:
        raise SystemExit(f"{subject.name} {version} cannot be built:\n{done.stderr}")
    return output


def _refusal(subject: Subject, work: Path, target: Target) -> str:
    """What the builder says of a target that one of its wheels does not have."""
    work.mkdir(parents=True)
    subject.write(work, subject.versions[1])
    done = _pkgbuild(work, subject.versions[1], work / "out", [target])
    last = done.stderr.strip().splitlines()[-1]
    return last if done.returncode == _NO_WHEEL else f"it ended with {done.returncode}: {last}"


def _pkgbuild(src: Path, version: str, output: Path, targets: Sequence[Target]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pkgbuild", "build", "--src", str(src), "--version", version]
    words += ["--notes", f"Version {version}", "--output", str(output)]
    words += [word for target in targets for word in ("--target", str(target))]
    return subprocess.run(words, check=False, capture_output=True, text=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
