"""Binary packages as files: building one, the same bytes from the same tree, and reading one back whole."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debian.arfile import ArError
from debian.debfile import DebError, DebFile

from pkgbuild import control, targets
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pkgbuild.control import About, PackageFields

# xz, because debsigs of Debian 12 does not know a zstd data member: it would sign the package without its data (seen).
_COMPRESSION = ("-Zxz", "-z6")
_PLAIN = ("-Znone",)
UNREADABLE = (DebError, ArError, tarfile.TarError, lzma.LZMAError, OSError, EOFError, ValueError)
"""What reading a damaged package can raise."""
ARCHITECTURES = frozenset({*targets.ARCHITECTURES, "all"})
_CHUNK = 1 << 20
_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class BuiltDeb:
    """A .deb on this machine."""

    fields: PackageFields
    path: Path
    size: int
    """Bytes."""
    sha256: str

    @property
    def package(self) -> str:
        """Its name."""
        return self.fields.package

    @property
    def version(self) -> str:
        """Its version."""
        return self.fields.version


@dataclass(frozen=True, slots=True)
class Override:
    """Tags of lintian that do not apply to a package."""

    reason: str
    tags: tuple[str, ...]


_SIGNATURE = Override(
    "The builder's signature, which dpkg and apt ignore; devices check it before they install the package.",
    ("misplaced-extra-member-in-deb",),
)


@dataclass(frozen=True, slots=True)
class Documents:
    """What goes into ``/usr/share/doc`` and into the scripts of one package."""

    changelog: str
    copyright: str
    scripts: Mapping[str, str]
    """``postinst`` and so on, as text."""
    overrides: tuple[Override, ...] = ()
    """What lintian would say, and why it is meant so."""


def build(
    tree: Path,
    fields: PackageFields,
    about: About,
    documents: Documents,
    *,
    out: Path,
    epoch: int,
    compress: bool = True,
) -> Path:
    """Build ``tree`` (the package's root, without DEBIAN) into ``out`` and return the file.

    Modes, owners, order and times (``epoch``, seconds since 1970) do not depend on the machine or its umask.
    """
    docs = tree / "usr/share/doc" / fields.package
    docs.mkdir(parents=True)
    name = "changelog.Debian.gz" if "-" in fields.version else "changelog.gz"
    docs.joinpath(name).write_bytes(gzip.compress(documents.changelog.encode(), 9, mtime=0))
    docs.joinpath("copyright").write_text(documents.copyright, encoding="utf-8")

    overrides = tree / "usr/share/lintian/overrides"
    overrides.mkdir(parents=True)
    text = _overrides(fields.package, (*documents.overrides, _SIGNATURE))
    (overrides / fields.package).write_text(text, encoding="utf-8")

    paths = sorted(tree.rglob("*"))
    regular = [path for path in paths if path.is_file() and not path.is_symlink()]
    sums = "".join(f"{_digest(path, 'md5')}  {path.relative_to(tree)}\n" for path in regular)
    debian = tree / "DEBIAN"
    debian.mkdir()
    debian.joinpath("md5sums").write_text(sums, encoding="utf-8")
    # as dpkg-gencontrol counts: files by their size, everything else as 1 KiB
    kib = sum(-(-path.stat().st_size // 1024) for path in regular) + len(paths) - len(regular)
    debian.joinpath("control").write_text(control.control(fields, about, kib), encoding="utf-8")
    for script, text in documents.scripts.items():
        debian.joinpath(script).write_text(text, encoding="utf-8")
        debian.joinpath(script).chmod(0o755)
    _settle(tree, epoch)

    out.mkdir(parents=True, exist_ok=True)
    path = out / fields.file_name
    run(
        ["dpkg-deb", *(_COMPRESSION if compress else _PLAIN), "--root-owner-group", "--build", tree, path],
        env={"SOURCE_DATE_EPOCH": str(epoch)},
        doing=f"building {path.name}",
        timeout_seconds=1800,
    )
    shutil.rmtree(tree)
    return path


def _overrides(package: str, overrides: Sequence[Override]) -> str:
    lines = []
    for one in overrides:
        lines += [f"# {line}" for line in textwrap.wrap(one.reason, _COLUMNS)]
        lines += [f"{package}: {tag}" for tag in one.tags]
    return "".join(f"{line}\n" for line in lines)


def read_overrides(text: str) -> tuple[Override, ...]:
    """What ``build`` was given of the overrides in a package that it has built."""
    found: list[Override] = []
    reason: list[str] = []
    tags: list[str] = []
    for line in [*text.splitlines(), "#"]:
        if line.startswith("#") and tags:
            found.append(Override(" ".join(reason), tuple(tags)))
            reason, tags = [], []
        if line.startswith("#"):
            reason.append(line[2:])
        else:
            tags.append(line.partition(": ")[2])
    return tuple(one for one in found if one.tags != _SIGNATURE.tags)


def read_back(path: Path, fields: PackageFields) -> BuiltDeb:
    """Read the whole package as a device would and compare it with what was meant. Raises ``BUILD_FAILED``.

    aptly accepts a package whose data part is cut off; so every byte of every file is read here, against its md5sum.
    """
    try:
        with DebFile(path) as deb:
            found = deb.debcontrol()
            sums = deb.md5sums(encoding="utf-8")
            found_sums = read_files(deb)
    except UNREADABLE as error:
        raise PkgbuildError(
            Kind.BUILD_FAILED, f"{path.name} cannot be read back ({error}): it is not published. Run the release again."
        ) from error
    if found_sums != sums:
        wrong = sorted(name for name, _ in found_sums.items() ^ sums.items())[0]
        raise PkgbuildError(
            Kind.BUILD_FAILED,
            f"{path.name}: {wrong} is not what was packed: it is not published. Run the release again.",
        )
    meant = {"Package": fields.package, "Version": fields.version, "Architecture": fields.architecture, **fields.more}
    for name, value in meant.items():
        if found.get(name) != value:
            raise PkgbuildError(
                Kind.BUILD_FAILED,
                f"{path.name} says {name}: {found.get(name)} instead of {value}: it is not published.",
            )
    return as_built(path, fields)


def as_built(path: Path, fields: PackageFields) -> BuiltDeb:
    """A package on this machine that was read and checked before."""
    return BuiltDeb(fields=fields, path=path, size=path.stat().st_size, sha256=_digest(path, "sha256"))


def read_files(deb: DebFile) -> dict[str, str]:
    """The MD5 of every regular file, by its path without ``./``. Raises one of ``UNREADABLE``."""
    found: dict[str, str] = {}
    archive = deb.data.tgz()
    for member in archive:
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            continue
        digest = hashlib.md5(usedforsecurity=False)
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
        found[member.name.removeprefix("./")] = digest.hexdigest()
    while archive.fileobj and archive.fileobj.read(_CHUNK):  # to the end of the compressed stream, its checksums
        pass
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _settle(tree: Path, epoch: int) -> None:
    """Give everything the modes Debian asks for and one time."""
    for path in sorted(tree.rglob("*"), reverse=True):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)
    tree.chmod(0o755)
    os.utime(tree, (epoch, epoch))
