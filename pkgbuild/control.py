"""The text files of any package: control, changelog, copyright. Pure: values in, text out."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING

from debian.deb822 import Deb822

from pkgbuild import rollout, versions
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.payload import Deb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pkgbuild.compiled import Needs
    from pkgbuild.payload import ReleaseFile
    from pkgbuild.targets import Target

MAX_NOTES = 500
_SYSUSERS = "systemd | systemd-standalone-sysusers | systemd-sysusers"
_COLUMNS = 76


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
    notice: str | None = None
    """Years and holders; None where release.toml does not say."""

    @classmethod
    def of(cls, file: ReleaseFile) -> About:
        """As ``release.toml`` says."""
        return cls(file.name, file.maintainer, file.homepage, file.licence, file.copyright)


@dataclass(frozen=True, slots=True)
class Release:
    """What is released, apart from the bytes: the same for every target."""

    file: ReleaseFile
    version: str
    urgency: Urgency
    notes: str
    assets: Mapping[str, str] = field(default_factory=dict)
    """Name of each asset folder -> HASH12 of its layer."""
    changes: tuple[str, ...] = ()
    """Further lines of the changelog."""

    @property
    def name(self) -> str:
        """NAME."""
        return self.file.name

    def layers(self, deps: str | None) -> list[str]:
        """The packages of its layers besides the app layer."""
        assets = [versions.asset_package(self.name, identity) for identity in sorted(set(self.assets.values()))]
        return [*([versions.deps_package(self.name, deps)] if deps else []), *assets]

    def update_fields(self) -> dict[str, str]:
        """The signed fields of ``NAME`` by which devices know what kind of update it is."""
        fields = {"Update-Urgency": str(self.urgency), "Update-Notes": self.notes}
        if self.file.minimum_agent:
            fields["Update-Minimum-Agent"] = self.file.minimum_agent
        if self.file.rollout:
            fields[rollout.FIELD] = self.file.rollout.as_field()
        # unattended-upgrades leaves such a package alone unless the agent asks for it
        fields["Upgrade-Requires"] = "app-restart"
        return fields


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
        """NAME_VERSION_ARCH.deb, without an epoch: aptly publishes a package under the name it was uploaded with."""
        return f"{self.package}_{self.version.partition(':')[2] or self.version}_{self.architecture}.deb"


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
    depends = [f"{app} (= {release.version})", *release.layers(deps)]
    # A user's systemd is reached over the bus of its session.
    depends.append("dbus-user-session" if release.file.run.unit == "user" else _SYSUSERS)
    return PackageFields(
        package=release.name,
        version=release.version,
        architecture=target.architecture,
        depends=tuple(depends),
        summary=release.file.summary,
        extended=release.file.description or f"{release.name}, kept up to date by pi-hook.",
        more=release.update_fields(),
    )


def app_fields(release: Release, target: Target, deps: str | None) -> PackageFields:
    """``NAME-app-MAPPED``: one complete release directory."""
    kind = release.file.payload
    own = () if isinstance(kind, Deb) else kind.depends
    return PackageFields(
        package=versions.app_package(release.name, release.version),
        version=release.version,
        architecture=target.architecture,
        depends=(f"python{target.python}", *release.layers(deps), *own),
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


def asset_fields(file: ReleaseFile, name: str, identity: str) -> PackageFields:
    """``NAME-asset-HASH12``: large files; depends on nothing and fits every target."""
    return PackageFields(
        package=versions.asset_package(file.name, identity),
        version="1",
        architecture="all",
        depends=(),
        summary=f"data of {file.name}: {name}",
        extended=f"Files that {file.name} reads, such as models or voices.\nReleases with the same files share them.",
    )


def with_needs(fields: PackageFields, needs: Needs) -> PackageFields:
    """The same with what its compiled files take; marked where no ARMv6 board can run them."""
    fields = replace(fields, depends=(*fields.depends, *(one for one in needs.depends if one not in fields.depends)))
    if not needs.armv7:
        return fields
    extended = fields.extended + "\n\nNeeds an ARMv7 processor: a Raspberry Pi 2 or later."
    return replace(fields, extended=extended, more={**fields.more, "Update-Machine": "armv7l"})


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
    given = [
        wrapped
        for line in fields.extended.strip().splitlines()
        for wrapped in textwrap.wrap(line.strip(), _COLUMNS) or [""]
    ]
    lines = [f" {line}" if line else " ." for line in given]
    paragraph["Description"] = "\n".join([_synopsis(fields.summary), *lines])
    return str(paragraph)


def _synopsis(summary: str) -> str:
    """As Debian's policy has it (3.4.1): no article in front, no full stop at the end."""
    return re.sub(r"^(an?|the) ", "", summary, flags=re.IGNORECASE).rstrip(".") or summary


def changelog(fields: PackageFields, maintainer: str, changes: Sequence[str], epoch: int) -> str:
    """One changelog entry, dated by ``epoch`` (seconds since 1970) so that the same input gives the same bytes."""
    date = format_datetime(datetime.fromtimestamp(epoch, UTC))
    body = "\n".join(
        textwrap.fill(line, _COLUMNS, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False)
        for line in changes
    )
    return f"{fields.package} ({fields.version}) stable; urgency=medium\n\n{body}\n\n -- {maintainer}  {date}\n"


def copyright_file(about: About, third_party: list[tuple[str, str]]) -> str:
    """A machine-readable copyright file; ``third_party`` lists (project, licence) of the wheels inside."""
    paragraphs = [Deb822({"Format": "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"})]
    paragraphs[0]["Upstream-Name"] = about.name
    if about.homepage:
        paragraphs[0]["Source"] = about.homepage
    holder = (about.notice or about.maintainer) if not third_party else "the authors of the wheels inside"
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
