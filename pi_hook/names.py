"""The names of our packages: pure, shared by pins, hooks, removal and checks. The forms are those of INTERFACES.md."""

from __future__ import annotations

import re

NAME = re.compile(r"(?!.*-(?:app|deps|asset)-)[a-z0-9][a-z0-9.+-]+\Z")
VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]*\Z")
AGENT_PACKAGES = ("pi-hook", "pi-ota-keyring")
KEYRING_PACKAGE = "pi-ota-keyring"

_MAPPING = {"+": "++", "~": "+t", ":": "+c"}


def checked_name(name: str) -> str:
    """The name itself. Raises ``ValueError`` where it could not be an assistant's package name."""
    if not NAME.match(name):
        raise ValueError(f"{name!r} cannot be an assistant's package name; look at assistant.name in the settings")
    return name


def checked_version(version: str) -> str:
    """The version itself. Raises ``ValueError`` where it is not a release version."""
    if not VERSION.match(version):
        raise ValueError(f"{version!r} is not a release version (a digit, then letters, digits and . + ~ -)")
    return version


def mapped(version: str) -> str:
    """A version as part of a package name; injective and prefix-free."""
    return "".join(_MAPPING.get(c, f"+u{c.lower()}" if c.isupper() else c) for c in version)


def app_package(name: str, version: str) -> str:
    """The package that holds one release directory."""
    return f"{name}-app-{mapped(version)}"


def deps_package(name: str, deps: str) -> str:
    """The package that holds one set of third-party wheels; ``deps`` is its HASH12."""
    return f"{name}-deps-{deps}"


def asset_package(name: str, identity: str) -> str:
    """The package that holds one folder of large files; ``identity`` is its HASH12."""
    return f"{name}-asset-{identity}"


def is_layer(name: str, package: str) -> bool:
    """Whether a package is a layer of this assistant (not the assistant's own NAME)."""
    return package.startswith((f"{name}-app-", f"{name}-deps-", f"{name}-asset-"))


def is_app(name: str, package: str) -> bool:
    """Whether a package is a layer that holds a release directory."""
    return package.startswith(f"{name}-app-")


def is_ours(name: str, package: str) -> bool:
    """Whether a package is the assistant's or the agent's own, and so comes from our repository only."""
    return package == name or package in AGENT_PACKAGES or is_layer(name, package)


def exact_pattern(package: str) -> str:
    """A regular expression of both Python and POSIX that matches this package name alone."""
    return "^" + re.sub(r"([.+])", r"[\1]", package) + "$"
