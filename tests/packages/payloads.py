"""The payloads that are looked at: both examples, one with compiled wheels for every target, and a classic .deb."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild.targets import ARCHITECTURES, PYTHON_OF, Target

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ALL = tuple(Target(debian, architecture) for debian in sorted(PYTHON_OF) for architecture in ARCHITECTURES)


@dataclass(frozen=True, slots=True)
class Subject:
    """One payload, released twice."""

    name: str
    versions: tuple[str, str]
    targets: tuple[Target, ...]
    write: Callable[[Path, str], None]
    """Writes the payload of a version into an empty folder."""
    compiled: bool = False
    """Whether it has third-party code for the processor."""
    twice: tuple[Target, ...] = ALL
    """Where it is built a second time, to compare; of the largest one target says it all."""
    without: tuple[Target, tuple[str, ...]] | None = None
    """A target for which it cannot be built, and the projects that have no wheel for it; the resolver names one."""


def _example(name: str) -> Callable[[Path, str], None]:
    def write(folder: Path, _version: str) -> None:
        shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)

    return write


_NATIVE = """\
name = "native-assistant"
summary = "an assistant with compiled wheels, a voice and a user unit"
maintainer = "pi-ota <pi-ota@localhost.invalid>"
licence = "MIT"
copyright = "2026 pi-ota <pi-ota@localhost.invalid>"

[payload]
kind = "application"

[service]
module = "native_assistant"
arguments = ["--voice", "{release}/assets/voice"]
unit = "user"
groups = ["audio"]

[health]
command = ["python", "-c", "import os; os.listdir(os.environ['XDG_RUNTIME_DIR'])"]

[[assets]]
name = "voice"
folder = "voices/en"
"""


def _native(folder: Path, version: str) -> None:
    (folder / "native_assistant").mkdir(parents=True)
    (folder / "voices/en").mkdir(parents=True)
    (folder / "release.toml").write_text(_NATIVE)
    (folder / "requirements.txt").write_text("frozenlist==1.8.0\n")
    (folder / "native_assistant/__init__.py").write_text(f'VERSION = "{version}"\n')
    (folder / "native_assistant/__main__.py").write_text(
        "import signal\n\nimport frozenlist\n\nprint(frozenlist, flush=True)\nsignal.pause()\n"
    )
    (folder / "voices/en/voice.onnx").write_bytes(bytes(range(256)) * 4096)


_CLASSIC = """\
name = "classic-assistant"
summary = "an assistant that is one ordinary package"
maintainer = "pi-ota <pi-ota@localhost.invalid>"

[payload]
kind = "deb"
files = ["dist/*.deb"]
"""
_CLASSIC_CONTROL = """\
Package: classic-assistant
Version: {version}
Architecture: {architecture}
Maintainer: pi-ota <pi-ota@localhost.invalid>
Section: misc
Priority: optional
Description: an assistant that is one ordinary package
 Built elsewhere, and published as it is.
"""


def _classic(folder: Path, version: str) -> None:
    (folder / "dist").mkdir(parents=True)
    (folder / "release.toml").write_text(_CLASSIC)
    for architecture in ARCHITECTURES:
        tree = folder / "tree"
        for path, text in {
            "DEBIAN/control": _CLASSIC_CONTROL.format(version=version, architecture=architecture),
            "DEBIAN/conffiles": "/etc/classic-assistant.conf\n",
            "etc/classic-assistant.conf": f"# of {version}\n",
            "usr/lib/classic-assistant/run": "#!/bin/sh\nexec sleep infinity\n",
            "usr/lib/systemd/system/classic-assistant.service": (
                "[Unit]\nDescription=classic assistant\n[Service]\nExecStart=/usr/lib/classic-assistant/run\n"
                "DynamicUser=yes\n[Install]\nWantedBy=multi-user.target\n"
            ),
        }.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        (tree / "usr/lib/classic-assistant/run").chmod(0o755)
        for place in (tree, *tree.rglob("*")):
            if place.is_dir():
                place.chmod(0o755)  # dpkg-deb takes no other under a strict umask
            elif place.name != "run":
                place.chmod(0o644)
        words = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(folder / "dist")]
        subprocess.run(words, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "0"})
        shutil.rmtree(tree)


SUBJECTS = (
    Subject("sample-assistant", ("1.0.0", "1.1.0"), ALL, _example("sample_assistant")),
    Subject("native-assistant", ("1.0.0", "1.1.0"), ALL, _native, compiled=True),
    Subject("classic-assistant", ("1.0.0", "1.1.0"), ALL, _classic),
    Subject(
        "wyoming-piper",
        ("2.5.1", "2.5.2"),
        tuple(target for target in ALL if target.architecture != "armhf"),
        _example("wyoming_piper"),
        compiled=True,
        twice=(Target("trixie", "arm64"),),
        without=(Target("trixie", "armhf"), ("onnxruntime", "piper-tts", "regex")),
    ),
)
