"""A higher version with the content of an older release: its packages are taken apart and put together again.

Nothing is resolved or built from the source; the layers that carry no version are the very same packages.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from debian.debfile import DebFile

from pkgbuild import catalogue, control, deb, published_files, rollout, signed_by, versions
from pkgbuild.announce import package_row
from pkgbuild.control import About, PackageFields, Urgency
from pkgbuild.deb import Documents
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import run
from pkgbuild.publisher import Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pkgbuild.aptly import Listed
    from pkgbuild.catalogue import PublishedRelease
    from pkgbuild.deb import BuiltDeb
    from pkgbuild.progress import Progress
    from pkgbuild.session import Session
    from pkgbuild.signing import Signer

STEPS = 4
_MADE_HERE = ("Package", "Version", "Architecture", "Maintainer", "Installed-Size", "Depends", "Section", "Priority")
_NOT_MORE = frozenset({*_MADE_HERE, "Homepage", "Description", "Update-Urgency", "Update-Notes", rollout.FIELD})
"""Going back is in a hurry: it spreads as the server's settings say, and not in the waves of the older release."""


@dataclass(frozen=True, slots=True)
class _Making:
    """What is needed to make one release's packages again."""

    opened: Session
    request: Request
    release: PublishedRelease
    signer: Signer


@dataclass(frozen=True, slots=True)
class Request:
    """What the builder asked for."""

    name: str
    old: str
    """The version whose content it shall be."""
    version: str
    notes: str
    urgency: Urgency
    channel: str


def rollback(opened: Session, request: Request, progress: Progress) -> dict[str, Any]:
    """Publish and announce ``request.version``. Raises ``PkgbuildError``; then nothing has changed."""
    progress.step(f"looking for {request.name} {request.old}, the keys, aptly and the server")
    publisher = opened.publisher(request.channel)
    signer = opened.signer(f"{request.name}_{request.version}")
    if opened.announcer:
        opened.announcer.check()
    with opened.locked():
        releases = _one_of_each_debian(catalogue.find(opened.aptly, request.name, request.old), request.channel)
        for release in releases:
            publisher.check_new(request.name, request.version, release.shelf.debian)
        for release in releases:
            signed_by.check_not_revoked(opened.settings, release.shelf, release.packages, opened.work)
        publisher.check_can_sign()
        progress.step(f"making {request.version} of {request.old}")
        parts = [_part(_Making(opened, request, release, signer), progress) for release in releases]
        update = _update(request, parts, releases[0].services[0].fields.get("Update-Minimum-Agent"))
        title = f"{request.name} {request.version} ({request.urgency}), the content of {request.old}"
        done = opened.publish(publisher, parts, title, update)
    signer.forget()
    return {**update, "content_of": request.old, **asdict(done)}


def _one_of_each_debian(releases: list[PublishedRelease], channel: str) -> list[PublishedRelease]:
    """From the channel itself where it is there: it is the same everywhere."""
    found: dict[str, PublishedRelease] = {}
    for release in sorted(releases, key=lambda one: one.shelf.channel != channel):
        found.setdefault(release.shelf.debian, release)
    return [found[debian] for debian in sorted(found)]


def _part(making: _Making, progress: Progress) -> Part:
    release = making.release
    own = {one.key for one in release.own}
    if len(release.own) == len(release.services):
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{release.name} {release.version} has no app layer, so nothing can be made of it under another version:"
            " release its package again as a higher version.",
        )
    built = []
    for one in release.own:
        folder = making.opened.work / release.shelf.debian / one.architecture
        folder.mkdir(parents=True, exist_ok=True)
        built.append(_again(making, one, folder))
        progress.detail(f"{release.shelf.debian}/{one.architecture}: {built[-1].path.name}")
    return Part(release.shelf.debian, tuple(built), tuple(one for one in release.layers if one.key not in own))


def _again(making: _Making, listed: Listed, folder: Path) -> BuiltDeb:
    request, signer = making.request, making.signer
    path = published_files.fetch(making.opened.settings, making.release.shelf, listed, folder)
    tree = folder / f"{listed.package}-tree"
    run(["dpkg-deb", "--raw-extract", path, tree], doing=f"unpacking {path.name}")
    with DebFile(path) as file:
        fields = _fields(request, listed, file.debcontrol())
        maintainer, homepage = file.debcontrol()["Maintainer"], file.debcontrol().get("Homepage")
    scripts = _scripts(request, tree / "DEBIAN")
    shutil.rmtree(tree / "DEBIAN")
    overrides: tuple[deb.Override, ...] = ()
    if (lintian := tree / "usr/share/lintian/overrides" / listed.package).is_file():
        overrides = deb.read_overrides(_renamed(request, lintian.read_text(encoding="utf-8")))
        shutil.rmtree(tree / "usr/share/lintian")
    documents = tree / "usr/share/doc" / listed.package
    age = (documents / "copyright").stat().st_mtime  # the same bytes each time that this is tried
    licence = (documents / "copyright").read_text(encoding="utf-8")
    shutil.rmtree(documents)
    if listed.package != request.name:
        _rename_release(request, tree)
    epoch = int(age)
    made = deb.build(
        tree,
        fields,
        About(request.name, maintainer, homepage, ""),
        Documents(
            changelog=control.changelog(fields, maintainer, f"The content of {request.old}: {request.notes}", epoch),
            copyright=licence,
            scripts=scripts,
            overrides=overrides,
        ),
        out=folder / "debs",
        epoch=epoch,
    )
    signer.sign(made)
    signer.verify(made)
    return deb.read_back(made, fields)


def _fields(request: Request, listed: Listed, old: Mapping[str, str]) -> PackageFields:
    before, after = (versions.app_package(request.name, version) for version in (request.old, request.version))
    depends = old.get("Depends", "").replace(f"{before} (= {request.old})", f"{after} (= {request.version})")
    of_the_app, description = listed.package != request.name, old["Description"]
    if of_the_app:  # these words are ours and name the version; the other package's are its author's
        description = description.replace(request.old, request.version)
    summary, *extended = description.splitlines()
    more = {key: value for key, value in old.items() if key not in _NOT_MORE}
    if not of_the_app:
        more = {"Update-Urgency": str(request.urgency), "Update-Notes": request.notes, **more}
    return PackageFields(
        package=after if of_the_app else request.name,
        version=request.version,
        architecture=listed.architecture,
        depends=tuple(word.strip() for word in depends.split(",") if word.strip()),
        summary=summary,
        extended="\n".join(line.strip() for line in extended),
        more=more,
    )


def _scripts(request: Request, folder: Path) -> dict[str, str]:
    return {
        path.name: _renamed(request, path.read_text(encoding="utf-8"))
        for path in sorted(folder.iterdir())
        if path.name in {"preinst", "postinst", "prerm", "postrm"}
    }


def _renamed(request: Request, text: str) -> str:
    """A text that names the release's folder or its package, with the new ones."""
    for of in (versions.release_home, versions.app_package):
        old, new = (of(request.name, version).removeprefix("/") for version in (request.old, request.version))
        text = text.replace(old, new)
    return text


def _rename_release(request: Request, tree: Path) -> None:
    """The release directory under its new version, which its launcher and ``release.json`` know."""
    old, new = (versions.release_home(request.name, version) for version in (request.old, request.version))
    folder = tree / new[1:]
    (tree / old[1:]).rename(folder)
    run_file = folder / "run"
    text = run_file.read_text(encoding="utf-8").replace(old, new)
    text = text.replace(f"PI_OTA_RELEASE={request.old}\n", f"PI_OTA_RELEASE={request.version}\n")
    run_file.write_text(
        text.replace(f"# Starts {request.name} {request.old},", f"# Starts {request.name} {request.version},")
    )
    content = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    content |= {"version": request.version, "urgency": str(request.urgency), "notes": request.notes}
    (folder / "release.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _update(request: Request, parts: list[Part], minimum_agent: str | None) -> dict[str, Any]:
    return {
        "name": request.name,
        "version": request.version,
        "channel": request.channel,
        "urgency": str(request.urgency),
        "notes": request.notes,
        "minimum_agent": minimum_agent,
        "packages": [
            *(package_row(one, part.debian, one.fields.architecture) for part in parts for one in part.built),
            *(
                package_row(one, part.debian, architecture)
                for part in parts
                for architecture in sorted({deb.fields.architecture for deb in part.built})
                for one in part.reused
                if one.architecture in {architecture, "all"}
            ),
        ],
    }
