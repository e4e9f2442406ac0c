"""What a release costs: a code-only one beside the same packages through dpkg-deb, debsigs and aptly's own CLI.

Prints a line ``RESULT name value unit`` for each figure and writes them to ``build/bench/release.json``. The exit
status is 1 where a limit is not kept. Both sides have repositories of their own with the same releases in them, and
take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.releases import NAME, fill, payload, tiny_debs
from demo.shell import PROJECT, end, run
from pkgbuild import config
from pkgbuild.aptly import Aptly

SIZES = (10, 100, 1000)
ROUNDS = 3
TARGETS = ("trixie/arm64", "trixie/armhf")
REPOSITORY = "pi-ota-trixie-stable"
PIPER = PROJECT / "examples" / "wyoming_piper"
PIPER_VERSIONS = ("2.5.1", "2.5.2")
MEGABYTE = 1_000_000


class Ours:
    """A builder with aptly's API beside it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        # Python keeps what it has compiled of pkgbuild, as it does where nobody has forbidden it
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environ = {**environ, "PKGBUILD_CONFIG": str(state / "pkgbuild.toml")}
        self.pkgbuild("init", "--state", str(state), *(word for target in TARGETS for word in ("--target", target)))
        self.settings = config.load(state / "pkgbuild.toml")

    def pkgbuild(self, *words: str) -> str:
        command = [sys.executable, "-m", "pkgbuild", *words]
        done = subprocess.run(command, cwd=PROJECT, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def release(self, source: Path, version: str, *more: str) -> str:
        words = ("--src", str(source), "--version", version, "--notes", "Measured", "--urgency", "scheduled")
        return self.pkgbuild("release", *words, *more)

    @contextmanager
    def aptly(self) -> Iterator[None]:
        with (self.state / "aptly.log").open("wb") as log:
            command = [sys.executable, "-m", "pkgbuild", "aptly"]
            process = subprocess.Popen(command, cwd=PROJECT, env=self.environ, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not (self.state / "aptly" / "api.sock").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield
        finally:
            end(process, 10)
            for home in ("builder", "archive"):
                run(["gpgconf", "--homedir", str(self.state / "keys" / home), "--kill", "gpg-agent"])


class Peer:
    """The same by hand: a folder of trees, and three programs."""

    def __init__(self, folder: Path, ours: Ours) -> None:
        self.folder = folder
        self.builder, self.archive = (ours.state / "keys" / name for name in ("builder", "archive"))
        self.key = str(ours.settings.file.builder.key)
        self.conf = folder / "aptly.conf"
        (folder / "root").mkdir(parents=True)
        text = (ours.state / "aptly.conf").read_text().replace(str(ours.state / "aptly"), str(folder / "root"))
        self.conf.write_text(text)

    def aptly(self, *words: str) -> None:
        environ = {**os.environ, "GNUPGHOME": str(self.archive)}
        subprocess.run(["aptly", f"-config={self.conf}", *words], env=environ, check=True, capture_output=True)

    def release(self, trees: list[Path], number: int) -> None:
        """Build, sign, add, freeze, switch."""
        debs = self.folder / f"debs-{number}"
        debs.mkdir()
        environ = {**os.environ, "GNUPGHOME": str(self.builder)}
        for tree in trees:
            deb = debs / f"{tree.name}.deb"
            words = ["dpkg-deb", "-Zxz", "-z6", "--root-owner-group", "--build", str(tree), str(deb)]
            subprocess.run(words, check=True, capture_output=True)
            words = ["debsigs", "--sign=origin", f"--default-key={self.key}", str(deb)]
            subprocess.run(words, env=environ, check=True, capture_output=True)
        self.aptly("repo", "add", REPOSITORY, str(debs))
        self.aptly("snapshot", "create", f"s{number}", "from", "repo", REPOSITORY)
        self.aptly("publish", "switch", "-batch", "-skip-contents", "-skip-bz2", "stable", "trixie", f"s{number}")


def measure(figures: Figures, folder: Path, size: int) -> float:
    """Median seconds of a code-only release of ours with ``size`` releases in the repository."""
    ours = Ours(folder / "o")
    source = payload(folder / "payload")
    with ours.aptly():
        ours.release(source, "0.1")
        peer = Peer(folder / "peer", ours)
        peer.aptly("repo", "create", REPOSITORY)
        debs = tiny_debs(folder / "filling", size - 1, [target.split("/")[1] for target in TARGETS])
        fill(Aptly.of(ours.settings), REPOSITORY, ours.state, debs)
        peer.aptly("repo", "add", REPOSITORY, str(debs))
        peer.aptly("snapshot", "create", "s0", "from", "repo", REPOSITORY)
        first = ["publish", "snapshot", "-batch", "-distribution=stable", "-architectures=amd64,arm64,armhf"]
        peer.aptly(*first, "-acquire-by-hash", "-skip-contents", "-skip-bz2", "-origin=pi-ota", "s0", "trixie")
        mine, theirs = [], []
        for number in range(1, ROUNDS + 2):
            version = f"9000.{number}"
            start = time.monotonic()
            ours.release(source, version)
            mine.append(time.monotonic() - start)
            trees = unpacked(ours, version, folder / f"trees-{number}")
            start = time.monotonic()
            peer.release(trees, number)
            theirs.append(time.monotonic() - start)
    mine, theirs = mine[1:], theirs[1:]  # the first one warms both up
    ratio = statistics.median(one / other for one, other in zip(mine, theirs, strict=True))
    figures.add(f"release_at_{size}", round(statistics.median(mine), 2), "s", beside=_list(mine))
    figures.add(f"by_hand_at_{size}", round(statistics.median(theirs), 2), "s", beside=_list(theirs))
    figures.add(f"release_of_by_hand_at_{size}", round(ratio, 2), "ratio", limit=1.5)
    return statistics.median(mine)


def unpacked(ours: Ours, version: str, folder: Path) -> list[Path]:
    """The very packages of a release as trees for ``dpkg-deb --build``."""
    debs = sorted((ours.state / "aptly" / "public" / "trixie" / "pool").rglob(f"*_{version}_*.deb"))
    folder.mkdir()
    for deb in debs:
        run(["dpkg-deb", "--raw-extract", str(deb), str(folder / deb.stem)])
    return [folder / deb.stem for deb in debs]


def published_payload(figures: Figures, folder: Path) -> None:
    """What a code-only release of the published example uploads; fetches its wheels."""
    ours = Ours(folder / "o")
    source = folder / "piper"
    shutil.copytree(PIPER, source)
    with ours.aptly():
        sizes = []
        for version in PIPER_VERSIONS:
            words = ("--json", "--target", "trixie/arm64")
            summary = json.loads(ours.release(source, version, *words))
            sizes.append(summary["uploaded_bytes"])
    figures.add("piper_first_upload", sizes[0], "bytes")
    figures.add("piper_code_only_upload", sizes[1], "bytes", limit=MEGABYTE)


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def main() -> int:
    """Measure everything; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument(
        "--no-piper", action="store_true", help="leave out the published example, which needs a network"
    )
    arguments = parser.parse_args()
    figures = Figures()
    figures.add("processors", os.cpu_count() or 0, "processors", beside=f"{NAME} for {' and '.join(TARGETS)}")
    seconds = {}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(prefix="br-", dir="/tmp") as name:  # gpg's sockets need a short path
            seconds[size] = measure(figures, Path(name), size)
    least, most = min(seconds), max(seconds)
    if least < most:
        growth = round(seconds[most] / seconds[least], 2)
        figures.add(f"release_at_{most}_of_{least}", growth, "ratio", limit=1.5)
    if not arguments.no_piper:
        with tempfile.TemporaryDirectory(prefix="br-", dir="/tmp") as name:
            published_payload(figures, Path(name))
    figures.write(PROJECT / "build" / "bench" / "release.json")
    return figures.status


if __name__ == "__main__":
    sys.exit(main())
