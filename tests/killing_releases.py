"""SIGKILL of ``pkgbuild release`` at random instants, while devices' apt updates and downloads in a loop.

`make kill-release N=20`; the exit status is 1 where apt ever fails or sees half a release, where the next run does not
publish what the killed one was to publish, or where something is left of it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from debian.deb822 import Deb822

from pkgbuild.journal import FILE_NAME, Entry
from pkgbuild.versions import highest
from tests.support.apt_client import AptClient
from tests.support.aptly import ROOT, BuilderStack, Outcome, builder_stack, plain_payload
from tests.support.fleet_bodies import DEVICE, TOKEN, registration
from tests.support.server import RunningServer, running_server

NAME = "tiny-assistant"
TARGETS = ("trixie/amd64", "trixie/arm64", "bookworm/arm64")
DEBIANS = ("bookworm", "trixie")
ALREADY = "is not higher than"


@dataclass
class Seen:
    """What apt saw in all its rounds."""

    rounds: int = 0
    downloads: int = 0
    versions: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


class Campaign:
    """A builder that is killed again and again, and the devices that fetch from it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.seen = Seen()
        self.stages: Counter[str] = Counter()
        self._number = 0
        self._over = threading.Event()
        self._open = ExitStack()
        self.payload = plain_payload(folder / "payload")
        self.builder, self.server = self._start()
        self.took = self._timed_release()

    def _start(self) -> tuple[BuilderStack, RunningServer]:
        stack = self._open.enter_context(builder_stack(targets=TARGETS))
        server = self._open.enter_context(running_server(self.folder / "server", repository=stack.public))
        text = f'\n[server]\nurl = "{server.url}"\napi_key = "{server.key("builder")}"\n'
        stack.settings.write_text(stack.settings.read_text() + text)
        body = registration(id=DEVICE, token=TOKEN, assistant=NAME)
        answer = server.request("POST", "/api/v1/devices/", body=body, token=server.secrets["enrollment_token"])
        assert answer.status == 201, answer.content
        return stack, server

    @property
    def version(self) -> str:
        """Of the release that is at work."""
        return f"1.{self._number}"

    def _timed_release(self) -> float:
        start = time.monotonic()
        done = self.builder.release(self.payload, self.version)
        assert done.status == 0, done.stderr
        return time.monotonic() - start

    def close(self) -> None:
        """End everything that was started."""
        self._open.close()

    def run(self, kills: int) -> list[str]:
        """So many kills at random instants; returns what was found to be wrong."""

        def rounds() -> list[str]:
            wrong: list[str] = []
            while self.stages.total() < kills:
                wrong += self._round(self._at_random())
            return wrong

        return self.watched(rounds)

    def run_in(self, *moments: str) -> list[str]:
        """One kill in each of these moments of publishing: a stage of the journal, or ``announced``."""
        return self.watched(lambda: [each for moment in moments for each in self._round(self._when(moment))])

    def watched(self, rounds: Callable[[], list[str]]) -> list[str]:
        """``rounds`` beside apt; whatever either of them finds wrong."""
        devices = [threading.Thread(target=self._device, args=(debian,)) for debian in DEBIANS]
        for device in devices:
            device.start()
        try:
            wrong = rounds()
            if not wrong:
                wrong = self._once_more()
        finally:
            self._over.set()
            for device in devices:
                device.join()
        return wrong + self.seen.problems

    def _at_random(self) -> Callable[[subprocess.Popen[bytes]], None]:
        instant = self.chance.uniform(0, self.took)

        def wait(process: subprocess.Popen[bytes]) -> None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(instant)

        return wait

    def _when(self, moment: str) -> Callable[[subprocess.Popen[bytes]], None]:
        def wait(process: subprocess.Popen[bytes]) -> None:
            while process.poll() is None and not self._is(moment):
                time.sleep(0.002)

        return wait

    def _is(self, moment: str) -> bool:
        entry = self._journal()
        if moment == "announced":
            return self.version in self._announced()
        return entry is not None and entry.stage == moment

    def _journal(self) -> Entry | None:
        try:
            return Entry.model_validate_json((self.builder.state / FILE_NAME).read_bytes())
        except FileNotFoundError:
            return None

    def _round(self, until_then: Callable[[subprocess.Popen[bytes]], None]) -> list[str]:
        """Kill one release, run it again, and look at everything."""
        self._number += 1
        process = self._begin()
        until_then(process)
        process.kill()
        ended = process.wait()
        entry = self._journal()
        if ended == 0:
            self.took *= 0.9  # it was quicker than the one before, so this was no kill
            return self._wrong(Outcome(0, "", ""))
        stage = str(entry.stage) if entry else "building or done"
        self.stages[stage] += 1
        start = time.monotonic()
        again = self.builder.release(self.payload, self.version)
        wrong = self._wrong(again)
        if not wrong and entry is None:
            self.took = max(self.took / 2, time.monotonic() - start)
        print(f"kill {self._number:3} {stage:16} then {self._said(again)}; {len(wrong)} findings", flush=True)
        return [f"kill {self._number} ({stage}): {each}" for each in wrong]

    def _begin(self) -> subprocess.Popen[bytes]:
        words = ["--src", str(self.payload), "--version", self.version, "--notes", f"Version {self.version}"]
        return subprocess.Popen(
            [sys.executable, "-m", "pkgbuild", "release", *words, "--urgency", "scheduled"],
            cwd=ROOT,
            env={**os.environ, "PKGBUILD_CONFIG": str(self.builder.settings)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def _said(again: Outcome) -> str:
        for words in ("finishing", "taking back"):
            if f"      {words} {NAME}" in again.stderr:
                return words
        return "released" if again.status == 0 else "published already"

    def _once_more(self) -> list[str]:
        self._number += 1
        return self._wrong(self.builder.release(self.payload, self.version))

    def _wrong(self, again: Outcome) -> list[str]:
        """What is not as it should be after the run that came after the kill."""
        wrong = []
        if again.status != 0 and ALREADY not in again.stderr:
            wrong.append(f"the next release fails: {again.stderr}")
        if self.version not in self._announced():
            wrong.append("it was not announced")
        for debian, architecture in (target.split("/") for target in TARGETS):
            if f"{NAME}={self.version}" not in self.builder.packages(debian, architecture):
                wrong.append(f"it is not published for {debian}/{architecture}")
        left = list((self.builder.state / "build").iterdir())
        left += list((self.builder.state / "aptly" / "upload").glob("*"))
        if left or (self.builder.state / FILE_NAME).exists():
            wrong.append(f"something is left: {left}")
        return wrong

    def _announced(self) -> set[str]:
        answer = self.server.request("GET", "/api/v1/updates/?limit=1000", key=self.server.secrets["admin_key"])
        return {item["version"] for item in answer.json["items"]}

    def _device(self, debian: str) -> None:
        root = self.folder / f"device-{debian}"
        keyring = root / "archive.gpg"
        root.mkdir()
        words = ["gpg", "--homedir", str(self.builder.archive_home), "--batch", "--output", str(keyring), "--export"]
        subprocess.run(words, check=True, capture_output=True)
        architectures = tuple(target.split("/")[1] for target in TARGETS if target.startswith(debian))
        source = f"deb [signed-by={keyring}] {self.server.url}/repo/{debian} stable main"
        client = AptClient(root, source, self.server.url, DEVICE, TOKEN, architectures)
        try:
            while not self._over.is_set() and not self.seen.problems:
                self._fetch(client, architectures)
        except Exception as error:  # noqa: BLE001 - told at the end
            self.seen.problems.append(f"device of {debian}: {type(error).__name__}: {error}")

    def _fetch(self, client: AptClient, architectures: tuple[str, ...]) -> None:
        """Update, see whether what is listed is whole, and download the newest release."""
        updated = client.run("update", "-eany")
        if updated.returncode:
            self.seen.problems.append(f"apt-get update: {updated.stdout}{updated.stderr}")
            return
        listed = {architecture: _listed(client, architecture) for architecture in architectures}
        for architecture, packages in listed.items():
            for key in (key for key in packages if key.startswith(f"{NAME}=")):
                layer = packages[key]["Depends"].split(",")[0].replace(" (= ", "=").rstrip(")")
                if layer not in packages:
                    self.seen.problems.append(f"half a release for {architecture}: {key} without {layer}")
        newest = {highest(key.partition("=")[2] for key in packages) for packages in listed.values()}
        if len(newest) != 1 or None in newest:
            self.seen.problems.append(f"half a release: its architectures have {newest}")
            return
        version = str(newest.pop())
        self._download(client, version, listed[architectures[-1]])
        self.seen.rounds += 1
        self.seen.versions.add(version)

    def _download(self, client: AptClient, version: str, listed: dict[str, Deb822]) -> None:
        packages = [listed[f"{name}={version}"] for name in (NAME, f"{NAME}-app-{version}")]
        done = client.run("download", *(f"{p['Package']}:{p['Architecture']}={version}" for p in packages))
        if done.returncode:
            self.seen.problems.append(f"apt-get download: {done.stdout}{done.stderr}")
            return
        for package in packages:
            file = client.root / Path(package["Filename"]).name
            if hashlib.sha256(file.read_bytes()).hexdigest() != package["SHA256"]:
                self.seen.problems.append(f"{file.name} is not what is listed")
            file.unlink()
            self.seen.downloads += 1


def _listed(client: AptClient, architecture: str) -> dict[str, Deb822]:
    """What apt has accepted for one architecture, by NAME=VERSION."""
    (file,) = (path for path in client.lists() if path.name.endswith(f"_binary-{architecture}_Packages"))
    with file.open() as stream:
        return {f"{p['Package']}={p['Version']}": p for p in Deb822.iter_paragraphs(stream)}


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-release-") as name:
        campaign = Campaign(Path(name), arguments.seed)
        try:
            wrong = campaign.run(arguments.kills)
        finally:
            campaign.close()
    for sentence in wrong:
        print(sentence)
    print(f"RESULT kills {arguments.kills} kills")
    for stage, count in sorted(campaign.stages.items()):
        print(f"  {count:3} {stage}")
    print(f"RESULT apt_rounds {campaign.seen.rounds} rounds")
    print(f"RESULT apt_downloads {campaign.seen.downloads} packages")
    print(f"RESULT versions_seen {len(campaign.seen.versions)} versions")
    print(f"RESULT wrong {len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
