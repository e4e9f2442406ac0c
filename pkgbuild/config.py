"""The builder's settings: ``pkgbuild.toml``, named by PKGBUILD_CONFIG, else in the working directory."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pkgbuild import keys, ring_file, tomlfile
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.ring import Role, State
from pkgbuild.targets import Target
from pkgbuild.tomlfile import Table
from pkgbuild.values import DebianPackage

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
VARIABLE = "PKGBUILD_CONFIG"
"""Names the settings file; ``pkgbuild.toml`` in the working folder without it."""
SERVER_URL_VARIABLE = "PKGBUILD_SERVER_URL"
"""The server to announce to, instead of ``server.url``."""
SERVER_KEY_VARIABLE = "PKGBUILD_SERVER_API_KEY"
"""The builder's key for it, instead of ``server.api_key`` and ``server.api_key_file``."""


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://", "unix:///")):
        raise ValueError("write http://HOST:PORT, https://HOST or unix:///path/to/socket")
    return text.rstrip("/")


def _channel(text: str) -> str:
    if not text or not all(c.isascii() and (c.islower() or c.isdigit() or c == "-") for c in text):
        raise ValueError("a channel's name has lower-case letters, digits and '-' only")
    return text


def _endpoint(text: str) -> str:
    kind, colon, name = text.partition(":")
    if kind not in {"s3", "filesystem", "swift", "azure"} or not colon or not name or "/" in name or ":" in name:
        raise ValueError("write s3:NAME or filesystem:NAME, as aptly's own settings call it")
    return text


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Url = Annotated[str, AfterValidator(_url)]
Seconds = Annotated[float, Field(gt=0)]


class AptlySettings(Table):
    """Where aptly's REST API answers."""

    url: Url
    """``http://127.0.0.1:8080``, or ``unix:///path`` for a Unix socket."""
    timeout_seconds: Seconds = 300
    """For one call: adding and publishing large packages takes a while."""
    username: str | None = None
    """Of HTTP basic authentication, which a web server in front of aptly asks for: aptly itself asks for nothing."""
    password: str | None = None
    """The password itself; better in a file of its own."""
    password_file: str | None = None
    """A file that holds the password."""
    endpoint: Endpoint | None = None
    """Where it publishes to, a name of aptly's own settings, as ``s3:NAME`` or ``filesystem:NAME``; its folder
    ``public`` without it."""
    root: str | None = None
    """Its own folder, where that is on this machine: used to see a full disk before anything is uploaded."""


class KeySettings(Table):
    """One key: its GnuPG home and fingerprint."""

    gnupghome: str | None = None
    """GnuPG's folder that holds the key; under ``keys/`` of the state folder without it."""
    key: str | None = None
    """Its fingerprint. Once keys were rotated, any of them: the one that signs now is what ``keys/ring.json`` says."""


class ServerSettings(Table):
    """The repo_server that releases are announced to."""

    url: Url
    """As ``https://updates.example.org``."""
    api_key: str | None = None
    """The key itself, of the role builder; better in a file of its own."""
    api_key_file: str | None = None
    """A file that holds the key."""
    timeout_seconds: Seconds = 30
    """For one request."""


class TargetSettings(Table):
    """One target."""

    debian: str
    """``trixie`` or ``bookworm``."""
    architecture: str
    """``arm64``, ``armhf`` or ``amd64``."""


class SettingsFile(Table):
    """``pkgbuild.toml``; paths are relative to it."""

    state: str = "."
    """Folder of the cache, the build trees and the publish lock."""
    default_channel: Annotated[str, AfterValidator(_channel)] = "stable"
    """Where a release goes that names no channel."""
    targets: Annotated[list[TargetSettings], Field(min_length=1)]
    """What is built for, unless the release or the command says otherwise."""
    allowed_packages: tuple[DebianPackage, ...] = ()
    """Ready packages besides the assistants' own that devices take from this repository; the keyring carries them."""
    aptly: AptlySettings
    builder: KeySettings
    archive: KeySettings = KeySettings()
    server: ServerSettings | None = None
    """Nothing is announced without it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Validated settings and where they came from."""

    path: Path
    file: SettingsFile
    targets: tuple[Target, ...]
    revoked: tuple[str, ...] = ()
    """Fingerprints of the builder keys that were revoked: a layer signed by one of them is used no more."""

    def resolve(self, path: str) -> Path:
        """A path of the settings file, made absolute."""
        return (self.path.parent / path).resolve()

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.resolve(self.file.state)

    @property
    def builder_home(self) -> Path:
        """The GnuPG home of the builder key: where the settings, or else ``pkgbuild init``, put it."""
        named = self.file.builder.gnupghome
        return self.resolve(named) if named else keys.homes(self.state)[0]

    @property
    def archive_home(self) -> Path:
        """The same of the archive key."""
        named = self.file.archive.gnupghome
        return self.resolve(named) if named else keys.homes(self.state)[1]

    @property
    def aptly_root(self) -> Path | None:
        """The folder of aptly, where it is on this machine."""
        return self.resolve(self.file.aptly.root) if self.file.aptly.root else None

    @property
    def published_root(self) -> Path | None:
        """The folder that aptly publishes into, where that is on this machine."""
        return self.aptly_root / "public" if self.aptly_root and not self.file.aptly.endpoint else None

    def channel(self, named: str | None) -> str:
        """The channel that a command names, else the default one. Raises ``BAD_INPUT``."""
        return channel_name(named or self.file.default_channel)

    @property
    def aptly_login(self) -> tuple[str, str] | None:
        """User and password in front of aptly, or None. Raises ``BAD_INPUT``, also where they would travel in clear."""
        aptly = self.file.aptly
        if aptly.username is None:
            return None
        if aptly.url.startswith("http://") and urlsplit(aptly.url).hostname not in _LOOPBACK:
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{aptly.url} would carry aptly's password in clear: put TLS in front, and write https://.",
            )
        if aptly.password is not None:
            return aptly.username, aptly.password
        if aptly.password_file is None:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"{self.path} has no aptly.password or aptly.password_file: set one of them."
            )
        return aptly.username, self._secret(aptly.password_file, "The password of aptly")

    @property
    def api_key(self) -> str:
        """The builder's key for repo_server. Raises ``BAD_INPUT`` where none is set."""
        server = self.file.server
        if server and server.api_key:
            return server.api_key
        if server and server.api_key_file:
            return self._secret(server.api_key_file, "The server's API key")
        raise PkgbuildError(
            Kind.BAD_INPUT, f"{self.path} has no server.api_key or server.api_key_file: set one of them."
        )

    def _secret(self, name: str, what: str) -> str:
        file = self.resolve(name)
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise PkgbuildError(Kind.BAD_INPUT, f"{what} cannot be read from {file}: {error.strerror}.") from error


def channel_name(text: str) -> str:
    """``text`` if it can name a channel. Raises ``BAD_INPUT``."""
    try:
        return _channel(text)
    except ValueError as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"{text!r} is not a channel: {error}.") from error


def _with_environment(file: SettingsFile) -> SettingsFile:
    url, key = os.environ.get(SERVER_URL_VARIABLE), os.environ.get(SERVER_KEY_VARIABLE)
    if not url and not key:
        return file
    table = file.server.model_dump(exclude_none=True) if file.server else {}
    table |= ({"url": url} if url else {}) | ({"api_key": key} if key else {})
    server = tomlfile.parse(ServerSettings, table, f"{SERVER_URL_VARIABLE} and {SERVER_KEY_VARIABLE}")
    return file.model_copy(update={"server": server})


def settings_path() -> Path:
    """PKGBUILD_CONFIG, else ``pkgbuild.toml`` in the working directory."""
    return Path(os.environ.get(VARIABLE) or "pkgbuild.toml")


def load(path: Path) -> Settings:
    """Read the settings. Raises ``BAD_INPUT``."""
    if not path.is_file():
        raise PkgbuildError(
            Kind.BAD_INPUT, f"There is no {path}: make one with `pkgbuild init`, or name yours in PKGBUILD_CONFIG."
        )
    file = _with_environment(tomlfile.load(SettingsFile, path))
    targets = tuple(dict.fromkeys(Target(t.debian, t.architecture) for t in file.targets))
    settings = Settings(path=path.resolve(), file=file, targets=targets)
    ring = ring_file.load(settings.state)
    now = {
        role.value: named.model_copy(update={"key": ring_file.successor(ring, role, named.key)})
        for role, named in ((Role.BUILDER, file.builder), (Role.ARCHIVE, file.archive))
    }
    revoked = ring.of(Role.BUILDER, {State.REVOKED}) if ring else ()
    return dataclasses.replace(settings, file=file.model_copy(update=now), revoked=revoked)
