"""Which builder key has signed what is published: read from the packages themselves, in aptly's pool."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debian.arfile import ArError, ArFile
from debian.debfile import DebError, DebFile

from pkgbuild import keyring, published_files, signing, versions
from pkgbuild.aptly import Aptly, repository_name
from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pkgbuild.aptly import Listed
    from pkgbuild.catalogue import Shelf
    from pkgbuild.config import Settings

_AGENT = "pi-hook"
_SIGNATURE = re.compile(r"^:signature packet: algo \d+, keyid ([0-9A-F]{16})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Signed:
    """A published package, with the long id of the key that signed it and the packages that it names."""

    package: str
    version: str
    key: str
    depends: frozenset[str]


def in_use(settings: Settings) -> dict[str, list[Signed]]:
    """By channel, what a device may run or repair: everything but keyring packages and agents that are not the newest.

    Raises ``PkgbuildError``: ``BAD_INPUT`` where aptly's files are not on this machine.
    """
    if settings.aptly_root is None or not (pool := settings.aptly_root / "pool").is_dir():
        raise PkgbuildError(
            Kind.BAD_INPUT,
            "Which key has signed what is published can be seen where aptly's files are only: run this there, with"
            " aptly.root in the settings.",
        )
    found: dict[str, list[Signed]] = {}
    with closing(Aptly.of(settings)) as aptly:
        ours = {target.debian for target in settings.targets}
        for prefix, distribution, _ in aptly.published():
            if prefix in ours:
                listed = aptly.packages(repository_name(prefix, distribution))
                newest = versions.highest({p.version for p in listed if p.package == _AGENT})
                wanted = [p for p in listed if p.package != keyring.PACKAGE]
                wanted = [p for p in wanted if p.package != _AGENT or p.version == newest]
                found.setdefault(distribution, []).extend(_read(pool, wanted))
    return found


def to_release_anew(found: Sequence[Signed], key: str) -> list[str]:
    """The newest releases of one channel of which a package was signed by ``key`` (a fingerprint): ``NAME VERSION``."""
    own = [signed for signed in found if not versions.is_layer(signed.package)]
    bad = {signed.package for signed in found if key.endswith(signed.key)}
    anew = set()
    for signed in own:
        newest = versions.highest({other.version for other in own if other.package == signed.package})
        if signed.version == newest and (key.endswith(signed.key) or signed.depends & bad):
            anew.add(f"{signed.package} {signed.version}")
    return sorted(anew)


def check_not_revoked(settings: Settings, shelf: Shelf, packages: Iterable[Listed], work: Path) -> None:
    """Raise ``BAD_INPUT`` where a key that was revoked has signed one of the packages: devices refuse it.

    Nothing is read where no key was ever revoked; else each package is copied into ``work``.
    """
    if not settings.revoked:
        return
    with tempfile.TemporaryDirectory(dir=work) as folder:
        paths = [published_files.fetch(settings, shelf, package, Path(folder)) for package in packages]
        try:
            ids = _key_ids([ArFile(str(path)).getmember(signing.MEMBER).read() for path in paths])
        except (ArError, OSError, KeyError) as error:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"A published package has no signature that can be read ({error!r}): release it anew."
            ) from error
    for path, key in zip(paths, ids, strict=True):
        if revoked := next((one for one in settings.revoked if one.endswith(key)), None):
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{path.name} was signed by the builder key {revoked}, which is revoked, so devices refuse it: release"
                " it anew from its source, as a higher version.",
            )


def _read(pool: Path, listed: Sequence[Listed]) -> list[Signed]:
    signatures, rest = [], []
    for package in listed:
        sha = package.sha256
        file_name = f"{package.package}_{package.version}_{package.architecture}.deb"
        path = pool / sha[:2] / sha[2:4] / f"{sha[4:32]}_{file_name}"
        try:
            member = ArFile(str(path)).getmember(signing.MEMBER)
            signatures.append(member.read())
            with DebFile(path) as file:
                depends = str(file.debcontrol().get("Depends", ""))
        except (ArError, DebError, OSError, KeyError) as error:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"{file_name} in aptly's pool cannot be read ({error!r}): look at {path}."
            ) from error
        rest.append((package, frozenset(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", depends))))
    ids = _key_ids(signatures)
    return [
        Signed(package.package, package.version, key, depends)
        for (package, depends), key in zip(rest, ids, strict=True)
    ]


def _key_ids(signatures: Sequence[bytes]) -> list[str]:
    """Of each signature the long id of its key, by one run of gpg. Raises ``BAD_INPUT`` where one is none."""
    if not signatures:
        return []
    words = ["gpg", "--batch", "--no-options", "--no-default-keyring", "--list-packets"]
    done = subprocess.run(words, input=b"".join(signatures), capture_output=True, check=False)
    found = _SIGNATURE.findall(done.stdout.decode(errors="replace"))
    if len(found) != len(signatures):
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"gpg finds {len(found)} signatures in {len(signatures)} published packages: one in aptly's pool is"
            " damaged. `debsig-verify` says which; release it anew.",
        )
    return found
