"""Many releases at once, for measuring with them in the repository: tiny packages of the right form, unsigned."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pkgbuild.aptly import Aptly

NAME = "measured-assistant"
_CODE_FILES = 40


def payload(folder: Path) -> Path:
    """An assistant of some forty modules and no third-party code."""
    package = folder / "measured"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text('print("measured")\n')
    for number in range(_CODE_FILES):
        (package / f"module{number}.py").write_text("".join(f"VALUE_{number}_{line} = {line}\n" for line in range(200)))
    (folder / "release.toml").write_text(
        f'name = "{NAME}"\nsummary = "measured"\nmaintainer = "Bench <bench@localhost.invalid>"\nlicence = "MIT"\n'
        '[payload]\nkind = "application"\n[service]\nmodule = "measured"\n'
    )
    return folder


def tiny_debs(folder: Path, count: int, architectures: Sequence[str]) -> Path:
    """``count`` releases, two packages for each architecture, as files in ``folder``."""
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        version = f"1.{number}"
        for architecture in architectures:
            app = f"{NAME}-app-{version}"
            depends = f"{app} (= {version}), systemd"
            more = f"Update-Urgency: scheduled\nUpdate-Notes: Release {version}\nUpgrade-Requires: app-restart\n"
            _write(folder, NAME, version, architecture, f"Depends: {depends}\n{more}")
            _write(folder, app, version, architecture, "Depends: python3.13\n")
    return folder


def fill(aptly: Aptly, repository: str, state: Path, debs: Path) -> None:
    """Add them to a repository by aptly's own CLI and publish it as pkgbuild does."""
    words = ["aptly", f"-config={state / 'aptly.conf'}", "repo", "add", repository, str(debs)]
    subprocess.run(words, check=True, capture_output=True)
    aptly.create_snapshot(f"{repository}-20260101T000000000000", repository, "filled")
    aptly.switch("trixie", "stable", f"{repository}-20260101T000000000000")
    aptly.close()


def _write(folder: Path, package: str, version: str, architecture: str, fields: str) -> None:
    control = (
        f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nInstalled-Size: 12\n"
        f"Maintainer: Bench <bench@localhost.invalid>\n{fields}Section: misc\nPriority: optional\n"
        "Description: measured\n A release of which there are many.\n"
    )
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar("./control", control.encode()),
        "data.tar.gz": _tar(f"./usr/share/doc/{package}/copyright", f"{package} {version} {architecture}\n".encode()),
    }
    content = b"!<arch>\n"
    for name, body in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode() + body
        content += b"\n" if len(body) % 2 else b""
    (folder / f"{package}_{version}_{architecture}.deb").write_bytes(content)


def _tar(name: str, body: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(body)
        archive.addfile(member, io.BytesIO(body))
    return gzip.compress(stream.getvalue(), 1, mtime=0)
