"""The files behind what is published: from aptly's folder where it is on this machine, else through the server."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import requests
from debian.deb822 import Deb822

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from pathlib import Path

    from pkgbuild.aptly import Listed
    from pkgbuild.catalogue import Shelf
    from pkgbuild.config import Settings

_OK = 200
_CHUNK = 1 << 20


def fetch(settings: Settings, shelf: Shelf, package: Listed, folder: Path) -> Path:
    """A copy of a published package, its hash checked. Raises ``BAD_INPUT`` and ``PUBLISH_FAILED``."""
    path = folder / f"{package.package}_{package.version}_{package.architecture}.deb"
    _copy(settings, f"{shelf.debian}/{_file_name(settings, shelf, package)}", path)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != package.sha256:
            raise PkgbuildError(
                Kind.PUBLISH_FAILED, f"{path.name} as it is published is not what aptly lists: run `pkgbuild resign`."
            )
    return path


def _file_name(settings: Settings, shelf: Shelf, package: Listed) -> str:
    """Where the published index says that the package lies, below the prefix."""
    architecture = package.architecture if package.architecture != "all" else settings.targets[0].architecture
    index = f"{shelf.debian}/dists/{shelf.channel}/main/binary-{architecture}/Packages"
    for paragraph in Deb822.iter_paragraphs(_read(settings, index)):
        if paragraph.get("SHA256") == package.sha256:
            return str(paragraph["Filename"])
    raise PkgbuildError(
        Kind.PUBLISH_FAILED, f"{package.package} {package.version} is not in the published {index}: run this again."
    )


def _read(settings: Settings, name: str) -> str:
    if settings.published_root is not None:
        return _local(settings.published_root, name).read_text(encoding="utf-8")
    with _request(settings, name) as answer:
        return answer.text


def _copy(settings: Settings, name: str, path: Path) -> None:
    if settings.published_root is not None:
        shutil.copyfile(_local(settings.published_root, name), path)
        return
    with _request(settings, name) as answer, path.open("wb") as file:
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)


def _local(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise PkgbuildError(Kind.PUBLISH_FAILED, f"There is no {path}: run `pkgbuild resign`, then this again.")
    return path


def _request(settings: Settings, name: str) -> requests.Response:
    server = settings.file.server
    if server is None:
        raise PkgbuildError(
            Kind.BAD_INPUT,
            "The published packages are needed for this: set aptly.root in the settings where aptly is on this machine,"
            " else a [server], which serves them.",
        )
    try:
        answer = requests.get(
            f"{server.url}/repo/{name}",
            headers={"X-API-Key": settings.api_key},
            timeout=server.timeout_seconds,
            stream=True,
        )
    except requests.RequestException as error:
        raise PkgbuildError(
            Kind.PUBLISH_FAILED, f"The server does not answer at {server.url}: start it or correct server.url."
        ) from error
    if answer.status_code != _OK:
        raise PkgbuildError(
            Kind.PUBLISH_FAILED, f"{server.url}/repo/{name} cannot be fetched (status {answer.status_code})."
        )
    return answer
