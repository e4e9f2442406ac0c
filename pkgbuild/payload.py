"""What a builder wants to release: ``release.toml`` of a payload folder, validated.

A new kind of payload is one more ``Table`` with a ``kind`` of its own in ``AnyPayload``, and its way to fill the app
layer in ``pkgbuild.layers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pkgbuild import tomlfile
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.rollout import Rollout
from pkgbuild.targets import Target
from pkgbuild.tomlfile import Table
from pkgbuild.versions import check_name, check_version

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_DEPENDENCY = re.compile(r"[a-z0-9][a-z0-9.+-]+( \((<<|<=|=|>=|>>) [^\s()]+\))?( \| [a-z0-9][a-z0-9.+-]+)*")
_MAINTAINER = re.compile(r"[^<>\n]+ <[^<>@\s]+@[^<>@\s]+>")
_RESERVED_ENVIRONMENT = ("PI_OTA_", "PYTHONPATH")


def _one_line(text: str) -> str:
    if "\n" in text or not text.strip():
        raise ValueError("write one line of text")
    return text.strip()


def _command(words: list[str] | None) -> list[str] | None:
    if words is not None and (not words or not words[0]):
        raise ValueError('name a program, as ["./app/check"] or ["python", "-m", "module"]')
    return words


def _environment(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _ENVIRONMENT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of an environment variable")
        if name.startswith(_RESERVED_ENVIRONMENT):
            raise ValueError(f"{name!r} is set by the launcher")
        if "\0" in value:
            raise ValueError(f"the value of {name!r} contains a NUL character")
    return values


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or path in {"", "."}:
        raise ValueError("name a file inside the payload's folder")
    return path


def _matching(pattern: re.Pattern[str], hint: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(hint)
        return text

    return AfterValidator(check)


def _target(words: str) -> str:
    try:
        return str(Target.parse(words))
    except PkgbuildError as error:
        raise ValueError(str(error).rstrip(".")) from error


def _version(words: str) -> str:
    try:
        return check_version(words)
    except PkgbuildError as error:
        raise ValueError(str(error).rstrip(".")) from error


OneLine = Annotated[str, AfterValidator(_one_line)]
Command = Annotated[list[str] | None, AfterValidator(_command)]
InsidePath = Annotated[str, AfterValidator(_inside)]
DebianDependency = Annotated[
    str, _matching(_DEPENDENCY, "write a Debian dependency, as 'libgomp1' or 'libgomp1 (>= 12)'")
]


GroupName = Annotated[str, _matching(re.compile(r"[a-z_][a-z0-9_-]*"), "write a group's name")]


class _WithDependencies(Table):
    depends: tuple[DebianDependency, ...] = ()
    """Debian packages the code needs besides Python, such as ``libportaudio2``."""


class Application(_WithDependencies):
    """A folder of Python code: everything beside ``release.toml`` becomes the app layer."""

    kind: Literal["application"]
    requirements: InsidePath = "requirements.txt"
    """Third-party requirements; the file may be absent."""
    exclude: tuple[str, ...] = ("tests",)
    """Top-level names that are not released; hidden files, ``locks`` and byte code never are."""


class Wheel(_WithDependencies):
    """A wheel published under ``wheel`` on the package index, at the version that is released."""

    kind: Literal["wheel"]
    wheel: Annotated[str, _matching(re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"), "write a project's name")]
    extras: tuple[str, ...] = ()


AnyPayload = Annotated[Application | Wheel, Field(discriminator="kind")]


class Service(Table):
    """What systemd runs, as the user NAME."""

    module: Annotated[str, _matching(_MODULE, "write a Python module, as 'package' or 'package.module'")]
    arguments: tuple[str, ...] = ()
    groups: tuple[GroupName, ...] = ()
    """Further groups of the user, such as ``audio`` or ``gpio``."""
    environment: Annotated[dict[str, str], AfterValidator(_environment)] = Field(default_factory=dict)


class Health(Table):
    """How the agent asks the running release whether it is well."""

    command: Annotated[list[str], AfterValidator(_command)]
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    starting_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """How long the command may fail after a start: what the release needs to load its models."""


class Hooks(Table):
    """Commands of the release, of the same form as the health command."""

    before_activation: Command = None
    """Run before the release becomes the active one, while the one before it still runs."""
    after_rollback: Command = None
    """Run after the device went back from the release, before the one before it starts again."""
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 60
    """For each of them."""


class ReleaseFile(Table):
    """``release.toml``."""

    name: Annotated[str, AfterValidator(check_name)]
    summary: Annotated[OneLine, Field(max_length=80)]
    description: str = ""
    maintainer: Annotated[str, _matching(_MAINTAINER, "write 'Name <address@example.org>'")]
    homepage: Annotated[str, _matching(re.compile(r"https?://\S+"), "write a web address")] | None = None
    licence: OneLine = "unknown"
    payload: AnyPayload
    service: Service
    health: Health | None = None
    hooks: Hooks = Hooks()
    oldest_rollback: Annotated[str, AfterValidator(_version)] | None = None
    """The oldest version this one can go back to; older ones cannot read its state."""
    minimum_agent: Annotated[str, AfterValidator(_version)] | None = None
    """The oldest pi-hook that may install this release."""
    rollout: Rollout | None = None
    """How fast it spreads; as the server's settings say without it."""
    targets: list[Annotated[str, AfterValidator(_target)]] | None = None
    """Instead of the builder's own targets."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload folder and its ``release.toml``."""

    folder: Path
    file: ReleaseFile

    @property
    def name(self) -> str:
        """NAME, the assistant's package."""
        return self.file.name

    @property
    def locks(self) -> Path:
        """The folder of the lock files."""
        return self.folder / "locks"

    def lock(self, target: Target) -> Path:
        """The lock of one target."""
        return self.locks / f"{target.slug}.txt"


def read(folder: Path) -> Payload:
    """Read the payload in ``folder``. Raises ``BAD_INPUT``."""
    if not folder.is_dir():
        raise PkgbuildError(
            Kind.BAD_INPUT, f"There is no folder {folder}: SRC= names the folder that holds release.toml."
        )
    if not (folder / "release.toml").is_file():
        raise PkgbuildError(
            Kind.BAD_INPUT, f"{folder} has no release.toml: see examples/sample_assistant for one to copy."
        )
    return Payload(folder=folder, file=tomlfile.load(ReleaseFile, folder / "release.toml"))
