"""Ready .deb files that are published as they are: found, read whole, and checked before anything is signed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from debian.arfile import ArFile
from debian.debfile import DebFile

from pkgbuild import deb, signing, stamping
from pkgbuild.control import PackageFields
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from pkgbuild.control import Release
    from pkgbuild.deb import BuiltDeb
    from pkgbuild.keys import Key
    from pkgbuild.signing import Signer
    from pkgbuild.targets import Target

_SIGNED_WHOLE = (".gz", ".bz2", ".xz", ".tar")
"""Endings of the parts that every debsigs signs, whose form a signature has; Debian 12's leaves out others (ADR 5)."""
_MAX_LISTED = 3


@dataclass(frozen=True, slots=True)
class ReadyDeb:
    """A .deb that somebody else has built, wholly readable."""

    path: Path
    fields: PackageFields
    paths: frozenset[str]
    """Its files, without a slash in front."""

    @property
    def package(self) -> str:
        """Its name."""
        return self.fields.package


def any_debian(pattern: str) -> str:
    """A pattern of release.toml for whatever Debian release."""
    return pattern.replace("{debian}", "*")


def find(folder: Path, patterns: Sequence[str], target: Target) -> list[ReadyDeb]:
    """The files below ``folder`` that fit ``target``, in the order of their names.

    Raises ``BAD_INPUT`` for a pattern without any file, for a file that cannot be read, and for two of one name.
    """
    found: dict[str, ReadyDeb] = {}
    for pattern in patterns:
        paths = sorted(folder.glob(pattern.replace("{debian}", target.debian)))
        if not paths:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"release.toml names {pattern}, and {folder} has no such file for {target}."
            )
        for path in paths:
            one = read(path)
            if one.fields.architecture not in {target.architecture, "all"}:
                continue
            if (other := found.get(one.package)) is not None and other.path != one.path:
                raise PkgbuildError(
                    Kind.BAD_INPUT,
                    f"{other.path.name} and {path.name} are both {one.package} for {target}: leave one of them out.",
                )
            found[one.package] = one
    _check_paths(found.values())
    return list(found.values())


def read(path: Path) -> ReadyDeb:
    """Read every byte of a .deb, as aptly does not. Raises ``BAD_INPUT`` where it is none that devices can take."""
    try:
        with path.open("rb") as file:
            members = ArFile(fileobj=file).getnames()
        _check_members(path, members)
        with DebFile(path) as opened:
            control = dict(opened.debcontrol())
            sums = opened.md5sums(encoding="utf-8") if opened.control.has_file("md5sums") else {}
            found = deb.read_files(opened)
    except (*deb.UNREADABLE, LookupError) as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} is not a readable Debian package: {error}.") from error
    if wrong := sorted(name for name, digest in sums.items() if found.get(name, digest) != digest):
        raise PkgbuildError(Kind.BAD_INPUT, f"{path}: {wrong[0]} is not what its md5sums say; get the file anew.")
    if missing := [name for name in ("Package", "Version", "Architecture") if not control.get(name)]:
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} has no field {missing[0]}: it is no binary package.")
    fields = PackageFields(
        package=control["Package"],
        version=control["Version"],
        architecture=control["Architecture"],
        depends=(),
        summary="",
        extended="",
        more={name: value for name, value in control.items() if name.startswith(("Update-", "Upgrade-"))},
    )
    if "/" in fields.file_name or fields.architecture not in deb.ARCHITECTURES:
        raise PkgbuildError(
            Kind.BAD_INPUT, f"{path} is for {fields.architecture}: use {', '.join(sorted(deb.ARCHITECTURES))}."
        )
    return ReadyDeb(path, fields, frozenset(found))


def check_allowed(debs: Iterable[ReadyDeb], allowed: Collection[str]) -> None:
    """Raise ``BAD_INPUT`` for a package that devices would not take from this fleet's repository."""
    for one in debs:
        if one.package not in allowed:
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{one.path.name} is the package {one.package}, which devices do not take from this repository: add it"
                " to `allowed_packages` in the settings, then build and publish the package with the fleet's keys anew"
                " (`pkgbuild keys package`), which carries that list.",
            )


def of_release(debs: Sequence[ReadyDeb], release: Release, target: Target) -> ReadyDeb:
    """The one that is the released assistant itself. Raises ``BAD_INPUT``."""
    own = next((one for one in debs if one.package == release.name), None)
    if own is None:
        have = ", ".join(one.package for one in debs) or "none that fits"
        raise PkgbuildError(Kind.BAD_INPUT, f"No file of the payload is {release.name} for {target} (there: {have}).")
    if own.fields.version != release.version:
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{own.path.name} is version {own.fields.version}, and {release.version} is released: build that, or"
            f" release with VERSION={own.fields.version}.",
        )
    return own


def stamped(own: ReadyDeb, release: Release, folder: Path) -> ReadyDeb:
    """``NAME`` with the fields that tell devices of the update: itself where it has them, else a copy in ``folder``.

    Only its control part is written anew; the part with its files stays what it is, byte for byte. Raises ``BAD_INPUT``
    where it says something else of the update than the builder does.
    """
    wanted = release.update_fields()
    differing = [name for name, value in own.fields.more.items() if wanted.get(name) != value]
    if differing:
        name = differing[0]
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{own.path.name} says {name}: {own.fields.more[name]}, and the release {wanted.get(name, 'does not')}:"
            " leave the field out of the package, or release as it says.",
        )
    if own.fields.more == wanted:
        return own
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / own.fields.file_name
    stamping.add_fields(own.path, path, wanted)
    return read(path)


def signed(one: ReadyDeb, signer: Signer, folder: Path, others: Sequence[Key] = ()) -> BuiltDeb:
    """A copy in ``folder`` with the builder's signature on top; one of somebody else is taken off first.

    A signature by one of the ``others`` stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / one.fields.file_name
    shutil.copyfile(one.path, path)
    try:
        signing.verify(path, [signer.key, *others])
    except PkgbuildError:
        run(["ar", "d", path, signing.MEMBER], doing=f"taking the old signature off {path.name}")
        signer.sign(path)
        signer.verify(path)
    return deb.as_built(path, one.fields)


def _check_members(path: Path, members: Sequence[str]) -> None:
    parts = [name for name in members if name.startswith(("control.tar", "data.tar"))]
    for part in parts:
        if not part.endswith(_SIGNED_WHOLE):
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{path}: {part} is compressed in a way that debsigs of Debian 12 leaves out of a signature: pack it"
                " again with `dpkg-deb --raw-extract` and `dpkg-deb -Zxz --root-owner-group --build`.",
            )


def _check_paths(debs: Collection[ReadyDeb]) -> None:
    owners: dict[str, str] = {}
    for one in debs:
        clashes = sorted(path for path in one.paths if path in owners)
        if clashes:
            paths = ", ".join(f"/{path}" for path in clashes[:_MAX_LISTED])
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{one.package} and {owners[clashes[0]]} both bring {paths}: dpkg would refuse the second."
                " Leave one of them out.",
            )
        owners |= dict.fromkeys(one.paths, one.package)
