"""Versions and package names of a release: which are allowed, how they order, how a version becomes part of a name.

Pure. The forms are those of docs/INTERFACES.md, "Names and versions".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from debian.debian_support import Version

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_VERSION_LENGTH = 64
MAX_NAME_LENGTH = 31
"""The name is also the system user's; systemd-sysusers allows 31 characters."""

_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]*")
_NAME = re.compile(r"[a-z][a-z0-9-]+")
LAYER_KINDS = ("app", "deps", "asset")
_RESERVED = re.compile(rf"-({'|'.join(LAYER_KINDS)})(-|$)")
_ESCAPES = {"+": "++", "~": "+t", ":": "+c"}


def check_version(version: str) -> str:
    """Return ``version`` if a release may carry it, else raise ``BAD_INPUT``.

    Debian policy 5.6.12 without an epoch; neither the version nor its revision (after the last ``-``) may be empty.
    """
    if not _VERSION.fullmatch(version):
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{version!r} is not a version: start with a digit, then letters, digits and . + ~ -"
            " (for example 1.2.0 or 1.2.0~rc1).",
        )
    if version.endswith("-"):
        raise PkgbuildError(Kind.BAD_INPUT, f"{version!r} ends with '-': write {version.rstrip('-')!r} instead.")
    if len(version) > MAX_VERSION_LENGTH:
        raise PkgbuildError(
            Kind.BAD_INPUT, f"The version is {len(version)} characters long: use at most {MAX_VERSION_LENGTH}."
        )
    return version


def check_name(name: str) -> str:
    """Return ``name`` if an assistant may be called so, else raise ``ValueError`` with the reason.

    It has to be a Debian package name, a system user's name (systemd-sysusers), and must not be confused with a layer.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        raise ValueError(
            f"{name!r} cannot be the name of a package and of a system user: start with a lower-case letter, then"
            f" lower-case letters, digits and '-', 2 to {MAX_NAME_LENGTH} characters"
        )
    if found := _RESERVED.search(name):
        raise ValueError(f"{name!r} contains '-{found[1]}', which marks the layers of a release: choose another name")
    return name


def mapped(version: str) -> str:
    """``version`` as part of a Debian package name; injective, so no two versions ever share a package."""
    return "".join(_ESCAPES.get(c) or (f"+u{c.lower()}" if c.isupper() else c) for c in version)


def app_package(name: str, version: str) -> str:
    """The package of the release directory."""
    return f"{name}-app-{mapped(version)}"


def release_home(name: str, version: str) -> str:
    """The release directory on a device."""
    return f"/usr/lib/{name}/releases/{version}"


def deps_package(name: str, identity: str) -> str:
    """The package of the third-party wheels; ``identity`` is HASH12."""
    return f"{name}-deps-{identity}"


def asset_package(name: str, identity: str) -> str:
    """The package of an asset folder; ``identity`` is HASH12."""
    return f"{name}-asset-{identity}"


def order(version: str) -> Version:
    """A key for sorting versions as dpkg does."""
    return Version(version)


def compare(a: str, b: str) -> int:
    """Negative, zero or positive, as dpkg orders the two versions."""
    return int(order(a) > order(b)) - int(order(a) < order(b))


def highest(versions: Iterable[str]) -> str | None:
    """The highest of ``versions`` as dpkg orders them, or None where there is none."""
    return max(versions, key=order, default=None)


def is_shared_layer(package: str) -> bool:
    """Whether a package is a layer that several releases may have: third-party wheels or assets."""
    found = _RESERVED.search(package)
    return found is not None and found[1] != "app"


def is_layer(package: str) -> bool:
    """Whether a package is a layer of some release, not an assistant itself."""
    return _RESERVED.search(package) is not None


def check_higher(name: str, version: str, published: Iterable[str], channel: str) -> None:
    """Raise ``VERSION_NOT_HIGHER`` unless ``version`` is above everything ``published`` on the channel."""
    top = highest(published)
    if top is not None and compare(version, top) <= 0:
        raise PkgbuildError(
            Kind.VERSION_NOT_HIGHER,
            f"{name} {version} is not higher than {top}, which is published on {channel}: devices would never take it."
            f" Choose a version above {top}.",
        )
