"""``python -m tests.debian_package``: the agent's source package on Debian 12 and 13, from clean clone to purge."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.debian_package import building, lifecycle, living, looking, previous
from tests.debian_package.report import Report, StepFailedError, table
from tests.debian_package.systems import for_building
from tests.support.apt_root import CHECKOUT, SUITES, AptRoot

if TYPE_CHECKING:
    from tests.debian_package.building import Built
    from tests.debian_package.previous import Previous

_FILE = Path("build/check-debian.json")


def main() -> int:
    """The exit status is 0 where every step of every suite went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.debian_package", description=__doc__)
    parser.add_argument("--suites", default=" ".join(SUITES), help="of these, parted by spaces (default: %(default)s)")
    parser.add_argument("--previous", help="the commit to upgrade from; default: the last with a lower version")
    parser.add_argument("--output", type=Path, default=Path("build/debian"), help="where the packages stay")
    given = parser.parse_args()
    suites = given.suites.split()
    if not suites or not set(suites) <= set(SUITES):
        parser.error(f"SUITES={given.suites!r} are not among {', '.join(SUITES)}")
    try:
        before = previous.choose(CHECKOUT, given.previous)
    except ValueError as error:
        parser.error(str(error))
    _warn_of_changes()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="pi-ota-debian-") as folder:
        for suite in suites:
            try:
                _look_at(suite, before, Path(folder, suite), given.output / suite, report)
            except StepFailedError:
                print(f"{suite:<10}the steps after it need this one and are not run", flush=True)
    report.write(_FILE)
    print(f"\n{table(report.rows)}\n\n{len(report.rows)} steps, {report.failed} failed; {_FILE} has them all")
    return 1 if report.failed else 0


def _warn_of_changes() -> None:
    words = ["git", "-c", f"safe.directory={CHECKOUT}", "status", "--porcelain"]
    if subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip():
        print("This checkout has changes that are not committed; a clean clone does not have them.", flush=True)


def _look_at(suite: str, before: Previous, work: Path, output: Path, report: Report) -> None:
    shutil.rmtree(output, ignore_errors=True)
    older, built = _build(suite, before, work / "build", output, report)
    report.add(suite, "lintian", *looking.lintian(suite, built, work / "lintian"))
    for looked in lifecycle.looked(suite, older, built.deb, work / "life"):
        report.add(suite, looked.step, looked.wrong, looked.words)
    with report.step(suite, "daemon") as words:
        wrong = list(living.wrong(suite, older, built.deb, work / "booted"))
        if wrong:
            raise ValueError("\n".join(wrong))
        words.append(living.WORDS)
    report.add(suite, "piuparts", *looking.piuparts(suite, built, work / "piuparts"))
    with report.step(suite, "autopkgtest") as words:
        tested = looking.autopkgtest(suite, built, work / "autopkgtest")
        words.append(f"{len(tested)} tests in a container that systemd has booted")
    for test in tested:
        report.add(suite, f"  {test.name}", *looking.judged(test, work / "autopkgtest"))


def _build(suite: str, before: Previous, work: Path, output: Path, report: Report) -> tuple[Path, Built]:
    with AptRoot((for_building(suite),), work) as system:
        builder = building.Builder(system)
        with report.step(suite, "clone") as words:
            builder.place("one").mkdir()
            building.clone(builder.place("one/pi-ota"))
            words.append("of what is committed")
        with report.step(suite, "build deps") as words:
            brought = builder.bring_dependencies("one/pi-ota")
            words.append(f"{len(brought)} packages beyond build-essential, by debian/control")
        with report.step(suite, "build") as words:
            built = builder.build("one/pi-ota")
            words.append(f"dpkg-buildpackage -us -uc, no root, no network: {built.deb.name}, {built.tar.name}")
        more = building.superfluous(built.tar)
        report.add(suite, "source", [f"it has {name}" for name in more], "the agent, its packaging and its tests alone")
        with report.step(suite, "reproducible") as words:
            builder.extract(built.dsc, "two/elsewhere")
            again = builder.build("two/elsewhere", "--build=binary", umask="077", zone="Asia/Tokyo")
            if building.sha256(again.deb) != building.sha256(built.deb):
                raise ValueError(f"{built.deb.name} from the source package is other bytes than that from the clone")
            words.append("from the source package, in another folder, zone and umask: the same bytes")
        with report.step(suite, "previous") as words:
            older = builder.build_previous(before)
            words.append(f"{before.version}, {before.words}")
        taken = building.take(built, output)
        beside = output.with_name(f"{output.name}-previous")
        beside.mkdir(exist_ok=True)
        return Path(shutil.copy(older, beside)), taken


if __name__ == "__main__":
    sys.exit(main())
