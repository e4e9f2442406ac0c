"""A real builder for tests: throwaway keys, a real aptly on a socket or a free port, the real ``pkgbuild``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.deb822 import Deb822

from demo.shell import end

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "sample_assistant"
_START_SECONDS = 30


@dataclass(frozen=True)
class Outcome:
    """How one run of ``pkgbuild`` ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def sentence(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("pkgbuild: ")]
        assert len(lines) == 1, self.stderr
        assert "Traceback" not in self.stderr, self.stderr
        return lines[0].removeprefix("pkgbuild: ")


@dataclass
class BuilderStack:
    """A state folder made by ``pkgbuild init``."""

    state: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Path:
        return self.state / "pkgbuild.toml"

    @property
    def public(self) -> Path:
        """What devices can fetch."""
        return self.state / "aptly" / "public"

    @property
    def archive_home(self) -> Path:
        return self.state / "keys" / "archive"

    @property
    def builder_home(self) -> Path:
        return self.state / "keys" / "builder"

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Outcome:
        """Run ``pkgbuild WORDS``."""
        done = subprocess.run(
            [sys.executable, "-m", "pkgbuild", *words],
            cwd=ROOT,
            env={**os.environ, "PKGBUILD_CONFIG": str(self.settings), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def release(self, src: Path, version: str, *words: str, urgency: str = "scheduled") -> Outcome:
        """Run ``pkgbuild release``."""
        notes = f"Version {version}"
        options = ["--src", str(src), "--version", version, "--notes", notes, "--urgency", urgency]
        return self.run("release", *options, *words)

    def edit(self, old: str, new: str) -> None:
        """Change the settings file."""
        text = self.settings.read_text()
        assert old in text
        self.settings.write_text(text.replace(old, new))

    def set_aptly(self, settings: Mapping[str, Any]) -> None:
        """Start aptly anew with these in its own configuration."""
        self.stop_aptly()
        conf = self.state / "aptly.conf"
        conf.write_text(json.dumps({**json.loads(conf.read_text()), **settings}))
        self.start_aptly()

    def publish_to(self, endpoint: str) -> None:
        """Name an endpoint in the settings."""
        self.edit('root = "aptly"\n', f'root = "aptly"\nendpoint = "{endpoint}"\n')

    def tree(self) -> dict[str, str]:
        """Every file under public/ with the hash of its bytes."""
        return {
            str(path.relative_to(self.public)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.public.rglob("*"))
            if path.is_file()
        }

    def packages(self, debian: str, architecture: str, channel: str = "stable") -> dict[str, Deb822]:
        """The published index, by NAME=VERSION."""
        index = self.public / debian / "dists" / channel / "main" / f"binary-{architecture}" / "Packages"
        with index.open() as file:
            return {f"{p['Package']}={p['Version']}": p for p in Deb822.iter_paragraphs(file)}

    def start_aptly(self, env: Mapping[str, str] | None = None) -> None:
        """Start aptly as ``pkgbuild aptly`` does and wait until it answers."""
        with (self.state / "aptly.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pkgbuild", "aptly"],
                cwd=ROOT,
                env={**os.environ, "PKGBUILD_CONFIG": str(self.settings), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while self.run("show").status != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"aptly did not start:\n{(self.state / 'aptly.log').read_text()}")
            time.sleep(0.05)

    def stop_aptly(self) -> None:
        """End it and wait for that."""
        if self.process is None:
            return
        end(self.process, 10)
        self.process = None


@contextmanager
def builder_stack(
    *, state: Path | None = None, options: Sequence[str] = (), targets: Sequence[str] = ("trixie/amd64",)
) -> Iterator[BuilderStack]:
    """A state folder, in a short path since gpg's and aptly's sockets live in it, with aptly running on it."""
    folder = Path(tempfile.mkdtemp(prefix="pk-", dir="/tmp")) if state is None else state
    stack = BuilderStack(folder / "s")
    try:
        words = [word for target in targets for word in ("--target", target)]
        made = stack.run("init", "--state", str(stack.state), *words, *options)
        assert made.status == 0, made.stderr
        stack.start_aptly()
        yield stack
    finally:
        stack.stop_aptly()
        for home in (stack.builder_home, stack.archive_home):
            if home.is_dir():
                subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False)
        if state is None:
            shutil.rmtree(folder)


def plain_payload(folder: Path, name: str = "tiny-assistant", more: str = "") -> Path:
    """A payload without third-party requirements, which releases without a network."""
    package = folder / "tiny"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text('print("tiny")\n')
    (folder / "release.toml").write_text(
        f"""\
name = "{name}"
summary = "a tiny assistant"
maintainer = "Tests <tests@localhost.invalid>"
licence = "MIT"
{more}
[payload]
kind = "application"
[service]
module = "tiny"
"""
    )
    return folder
