"""What a builder wants to release: ``release.toml`` of a payload folder, validated.

A new kind of payload is one more ``Table`` with a ``kind`` of its own in ``AnyPayload``, and its way to fill the app
layer in ``pkgbuild.layers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pkgbuild import tomlfile
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.rollout import Rollout
from pkgbuild.targets import Target
from pkgbuild.tomlfile import Table
from pkgbuild.values import (
    AccountName,
    AssetName,
    Command,
    DebianDependency,
    Environment,
    GroupName,
    InsidePath,
    Maintainer,
    Module,
    OneLine,
    Project,
    Requirement,
    TargetWords,
    VersionWords,
    WebAddress,
)
from pkgbuild.versions import check_name


class Override(Table):
    """A requirement that takes the place of whatever anything asks of the same project."""

    requirement: Requirement
    """As ``onnxruntime==1.20.1``; with a marker that never holds (``; python_version < "0"``) there is none."""
    targets: tuple[TargetWords, ...] | None = None
    """None: on every target."""


class _Python(Table):
    depends: tuple[DebianDependency, ...] = ()
    """Debian packages the code needs besides Python, such as ``libportaudio2``."""
    overrides: tuple[Override, ...] = ()
    """Where a pin has no wheel for a target, or the wrong one."""

    def overriding(self, target: Target) -> list[str]:
        """The requirements that override others on ``target``."""
        return [one.requirement for one in self.overrides if one.targets is None or str(target) in one.targets]


class Application(_Python):
    """A folder of Python code: everything beside ``release.toml`` becomes the app layer."""

    kind: Literal["application"]
    """A folder of Python code."""
    requirements: InsidePath = "requirements.txt"
    """Third-party requirements; the file may be absent."""
    lock: InsidePath | None = None
    """A requirements file of pins with hashes, made elsewhere, instead of ``requirements``: nothing else is taken."""
    exclude: tuple[str, ...] = ("tests",)
    """Top-level names that are not released; hidden files, ``locks``, assets and byte code never are."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.lock is not None and "requirements" in self.model_fields_set:
            raise ValueError("name `requirements` or a `lock`, not both")
        return self


class Wheel(_Python):
    """A wheel published under ``wheel`` on the package index, at the version that is released."""

    kind: Literal["wheel"]
    """A published wheel."""
    wheel: Project
    """Its project's name."""
    extras: tuple[str, ...] = ()
    """Of the wheel's own extras, those that are wanted."""


class Deb(Table):
    """Ready .deb files, of which one for each target is ``name`` at the version that is released."""

    kind: Literal["deb"]
    """A ready package."""
    files: Annotated[tuple[InsidePath, ...], Field(min_length=1)]
    """Patterns inside the payload's folder, as ``dist/*.deb``; ``{debian}`` stands for the Debian release."""


AnyPayload = Annotated[Application | Wheel | Deb, Field(discriminator="kind")]


class Asset(Table):
    """A folder of large files, such as a model or a voice, that becomes a layer named by its content."""

    name: AssetName
    """By which the release finds it: ``$PI_OTA_RELEASE_DIR/assets/NAME``."""
    folder: InsidePath
    """Inside the payload's folder."""


class Service(Table):
    """What systemd runs."""

    module: Module
    """Run as ``python -m``."""
    arguments: tuple[str, ...] = ()
    """``{release}`` in them stands for the release directory."""
    groups: tuple[GroupName, ...] = ()
    """Further groups of the user, such as ``audio`` or ``gpio``."""
    environment: Environment = Field(default_factory=dict)
    """Variables by their names; ``{release}`` stands for the release directory."""
    unit: Literal["system", "user"] = "system"
    """Whose systemd runs it: the system's, or that of an account, beside which PipeWire runs."""
    account: AccountName | None = None
    """Of a user unit: an account that the device has, as ``pi``; without it the system user NAME, made for it."""

    @model_validator(mode="after")
    def _account_of_a_user_unit(self) -> Self:
        if self.account is not None and self.unit != "user":
            raise ValueError('`account` is for `unit = "user"`; a system unit runs as a system user of its own')
        if self.account is not None and self.groups:
            raise ValueError("`groups` are for a user that the package makes; put the account into them on the device")
        return self


class Health(Table):
    """How the agent asks the running release whether it is well."""

    command: Command
    """Run in the release directory as the service's user; other than 0 within the soak sends the device back."""
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """For each run of it."""
    starting_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """How long the command may fail after a start: what the release needs to load its models."""


class Hooks(Table):
    """Commands of the release, of the same form as the health command."""

    before_activation: Command | None = None
    """Run before the release becomes the active one, while the one before it still runs."""
    after_rollback: Command | None = None
    """Run after the device went back from the release, before the one before it starts again."""
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 60
    """For each of them."""


_OF_LAYERS = ("service", "health", "hooks", "oldest_rollback", "assets")
"""What only a release of layers can have: the device finds it in release.json and in the release directory."""


class ReleaseFile(Table):
    """``release.toml``."""

    name: Annotated[str, AfterValidator(check_name)]
    """The assistant's Debian package; never changed once released."""
    summary: Annotated[OneLine, Field(max_length=80)]
    """What it is, in a line without a full stop."""
    description: str = ""
    """The same at length, for the package."""
    maintainer: Maintainer
    """Who is asked about it."""
    homepage: WebAddress | None = None
    """Where more is said of it."""
    licence: OneLine = "unknown"
    """Such as ``MIT``, for the package's copyright file."""
    copyright: OneLine | None = None
    """Years and holders, as ``2026 Somebody <somebody@example.org>``."""
    payload: AnyPayload
    service: Service | None = None
    """None for ready .deb files only: they bring a unit of their own."""
    health: Health | None = None
    """Without it a release is well that stays up."""
    hooks: Hooks = Hooks()
    """None by default."""
    oldest_rollback: VersionWords | None = None
    """The oldest version this one can go back to; older ones cannot read its state."""
    minimum_agent: VersionWords | None = None
    """The oldest pi-hook that may install this release."""
    assets: tuple[Asset, ...] = ()
    """None by default."""
    packages: tuple[InsidePath, ...] = ()
    """Ready .deb files that are published with it, as they are; patterns as those of a ``deb`` payload."""
    rollout: Rollout | None = None
    """How fast it spreads; as the server's settings say without it."""
    targets: list[TargetWords] | None = None
    """Instead of the builder's own targets."""

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Self:
        if isinstance(self.payload, Deb):
            if given := [key for key in _OF_LAYERS if key in self.model_fields_set]:
                raise ValueError(f"a payload of kind 'deb' has no `{given[0]}`: what it runs is in its own .deb")
        elif self.service is None:
            raise ValueError("`service` is missing: say under [service] which module is run")
        if len({asset.name for asset in self.assets}) < len(self.assets):
            raise ValueError("two `assets` have the same name")
        return self

    @property
    def run(self) -> Service:
        """The service of a release of layers. Raises ``TypeError`` for ready .deb files."""
        if self.service is None:
            raise TypeError(f"{self.name} is a ready .deb")
        return self.service


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload folder and its ``release.toml``."""

    folder: Path
    file: ReleaseFile
    revoked: tuple[str, ...] = ()
    """Builder keys that were revoked: the same layers get other names, since a published one is never signed anew."""

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
