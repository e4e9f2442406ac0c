"""The text files of a package: control, changelog, copyright, systemd unit, launcher. Pure: values in, text out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from debian.deb822 import Deb822

from pkgbuild import versions
from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pkgbuild.payload import ReleaseFile
    from pkgbuild.targets import Target

MAX_NOTES = 500


class Urgency(StrEnum):
    """How soon devices install: in the night's window, or as soon as nobody is using them."""

    SCHEDULED = "scheduled"
    URGENT = "urgent"

    @classmethod
    def read(cls, word: str) -> Urgency:
        """Raises ``BAD_INPUT`` for any other word."""
        try:
            return cls(word)
        except ValueError as error:
            known = " or ".join(cls)
            raise PkgbuildError(Kind.BAD_INPUT, f"Unknown urgency {word!r}: use {known}.") from error


@dataclass(frozen=True, slots=True)
class About:
    """Who a package comes from."""

    name: str
    maintainer: str
    homepage: str | None
    licence: str

    @classmethod
    def of(cls, file: ReleaseFile) -> About:
        """As ``release.toml`` says."""
        return cls(file.name, file.maintainer, file.homepage, file.licence)


@dataclass(frozen=True, slots=True)
class Release:
    """What is released, apart from the bytes: the same for every target."""

    file: ReleaseFile
    version: str
    urgency: Urgency
    notes: str

    @property
    def name(self) -> str:
        """NAME."""
        return self.file.name


@dataclass(frozen=True, slots=True)
class PackageFields:
    """The control fields of one binary package that say something."""

    package: str
    version: str
    architecture: str
    depends: tuple[str, ...]
    summary: str
    extended: str
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """NAME_VERSION_ARCH.deb: aptly publishes a package under the name it was uploaded with."""
        return f"{self.package}_{self.version}_{self.architecture}.deb"


def one_line(notes: str) -> str:
    """Notes as they fit into a control field: aptly would join the lines anyway. Raises ``BAD_INPUT``."""
    line = " ".join(notes.split())
    if not line:
        raise PkgbuildError(Kind.BAD_INPUT, 'The notes are empty: say in one line what is new, NOTES="…".')
    if len(line) > MAX_NOTES:
        raise PkgbuildError(Kind.BAD_INPUT, f"The notes are {len(line)} characters long: use at most {MAX_NOTES}.")
    if not line.isprintable():
        raise PkgbuildError(Kind.BAD_INPUT, "The notes contain control characters: write one line of text.")
    return line


def service_fields(release: Release, target: Target, deps: str | None) -> PackageFields:
    """``NAME``: the unit and the signed update fields."""
    app = versions.app_package(release.name, release.version)
    depends = [f"{app} (= {release.version})"]
    if deps:
        depends.append(versions.deps_package(release.name, deps))
    depends.append("systemd | systemd-standalone-sysusers | systemd-sysusers")
    more = {"Update-Urgency": str(release.urgency), "Update-Notes": release.notes}
    if release.file.minimum_agent:
        more["Update-Minimum-Agent"] = release.file.minimum_agent
    # unattended-upgrades leaves such a package alone unless the agent asks for it
    more["Upgrade-Requires"] = "app-restart"
    return PackageFields(
        package=release.name,
        version=release.version,
        architecture=target.architecture,
        depends=tuple(depends),
        summary=release.file.summary,
        extended=release.file.description or f"{release.name}, kept up to date by pi-hook.",
        more=more,
    )


def app_fields(release: Release, target: Target, deps: str | None) -> PackageFields:
    """``NAME-app-MAPPED``: one complete release directory."""
    depends = [f"python{target.python}"]
    if deps:
        depends.append(versions.deps_package(release.name, deps))
    return PackageFields(
        package=versions.app_package(release.name, release.version),
        version=release.version,
        architecture=target.architecture,
        depends=(*depends, *release.file.payload.depends),
        summary=f"release {release.version} of {release.name}",
        extended=f"The release directory of {release.name} {release.version}.\n"
        "Several releases can be installed side by side.",
    )


def deps_fields(file: ReleaseFile, target: Target, deps: str, contents: list[str]) -> PackageFields:
    """``NAME-deps-HASH12``: the third-party wheels; depends on nothing but the lock and the target."""
    return PackageFields(
        package=versions.deps_package(file.name, deps),
        version="1",
        architecture=target.architecture,
        depends=(f"python{target.python}",),
        summary=f"third-party Python code of {file.name}",
        extended="Contains:\n" + "\n".join(contents),
    )


def control(fields: PackageFields, about: About, installed_kib: int) -> str:
    """The control file, a Deb822 paragraph."""
    paragraph = Deb822()
    paragraph["Package"] = fields.package
    paragraph["Version"] = fields.version
    paragraph["Architecture"] = fields.architecture
    paragraph["Maintainer"] = about.maintainer
    paragraph["Installed-Size"] = str(installed_kib)
    if fields.depends:
        paragraph["Depends"] = ", ".join(fields.depends)
    paragraph["Section"] = "misc"
    paragraph["Priority"] = "optional"
    if about.homepage:
        paragraph["Homepage"] = about.homepage
    for name, value in fields.more.items():
        paragraph[name] = value
    lines = [f" {line.strip()}" if line.strip() else " ." for line in fields.extended.strip().splitlines()]
    paragraph["Description"] = "\n".join([fields.summary, *lines])
    return str(paragraph)


def changelog(fields: PackageFields, maintainer: str, notes: str, epoch: int) -> str:
    """One changelog entry, dated by ``epoch`` (seconds since 1970) so that the same input gives the same bytes."""
    date = format_datetime(datetime.fromtimestamp(epoch, UTC))
    return f"{fields.package} ({fields.version}) stable; urgency=medium\n\n  * {notes}\n\n -- {maintainer}  {date}\n"


def copyright_file(about: About, third_party: list[tuple[str, str]]) -> str:
    """A machine-readable copyright file; ``third_party`` lists (project, licence) of the wheels inside."""
    paragraphs = [Deb822({"Format": "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"})]
    paragraphs[0]["Upstream-Name"] = about.name
    if about.homepage:
        paragraphs[0]["Source"] = about.homepage
    holder = about.maintainer if not third_party else "the authors of the wheels inside"
    licence = about.licence if not third_party else "various"
    body = [f" {project}: {words}" for project, words in third_party] or [
        " The licence of this program as its authors state it."
    ]
    paragraphs.append(Deb822({"Files": "*", "Copyright": holder, "License": "\n".join([licence, *body])}))
    return "\n".join(str(paragraph) for paragraph in paragraphs)


def template(name: str, **values: str) -> str:
    """A file of ``templates/`` with every ``@KEY@`` replaced."""
    text = files("pkgbuild").joinpath("templates", name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def unit(file: ReleaseFile) -> str:
    """``NAME.service``. It never depends on the version: it runs whatever ``current`` names."""
    documentation = file.homepage or f"file:///usr/share/doc/{file.name}/copyright"
    return template(
        "service.unit",
        NAME=file.name,
        SUMMARY=file.summary.replace("%", "%%"),
        DOCUMENTATION=documentation.replace("%", "%%"),
    )


def sysusers(file: ReleaseFile) -> str:
    """The sysusers.d file of the system user NAME and its groups."""
    lines = [f'u {file.name} - "{file.name} service" /var/lib/{file.name}/state']
    lines += [f"m {file.name} {group}" for group in file.service.groups]
    return "\n".join(lines) + "\n"


def launcher(release: Release, target: Target) -> str:
    """``run``: knows its own absolute path, so that a running process never sees half of two releases."""
    home = f"/usr/lib/{release.name}/releases/{release.version}"
    variables = {
        "PI_OTA_RELEASE": release.version,
        "PI_OTA_RELEASE_DIR": home,
        "PYTHONPATH": f"{home}/site",
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        **release.file.service.environment,
    }
    return template(
        "run.sh",
        NAME=release.name,
        VERSION=release.version,
        EXPORTS="\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items()),
        PYTHON=f"/usr/bin/python{target.python}",
        MODULE=release.file.service.module,
        ARGUMENTS="".join(f"{shlex.quote(word)} " for word in release.file.service.arguments),
    )


def release_json(release: Release, target: Target, deps: str | None) -> dict[str, Any]:
    """``release.json`` of the release directory (docs/INTERFACES.md)."""
    file = release.file
    return {
        "schema": 1,
        "name": file.name,
        "version": release.version,
        "urgency": str(release.urgency),
        "notes": release.notes,
        "target": {"debian": target.debian, "python": target.python, "architecture": target.architecture},
        "deps": deps,
        "environment": dict(file.service.environment),
        "health": file.health.model_dump() if file.health else None,
        "hooks": file.hooks.model_dump(),
        "oldest_rollback": file.oldest_rollback,
    }
