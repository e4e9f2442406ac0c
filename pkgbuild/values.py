"""The kinds of values that ``release.toml`` takes, each with its check and the sentence where it fails. Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from pkgbuild.errors import PkgbuildError
from pkgbuild.targets import Target
from pkgbuild.versions import check_version

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED_ENVIRONMENT = ("PI_OTA_", "PYTHONPATH")
_DEBIAN_NAME = r"[a-z0-9][a-z0-9.+-]+"


def _one_line(text: str) -> str:
    if "\n" in text or not text.strip():
        raise ValueError("write one line of text")
    return text.strip()


def _command(words: list[str]) -> list[str]:
    if not words or not words[0]:
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


def _requirement(line: str) -> str:
    if line != line.strip() or "\n" in line or not re.match(r"[A-Za-z0-9]", line):
        raise ValueError("write a requirement, as 'onnxruntime==1.20.1'")
    return line


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


def matching(pattern: str, hint: str) -> AfterValidator:
    """A check that a text is wholly of a form; ``hint`` says which."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(hint)
        return text

    return AfterValidator(check)


OneLine = Annotated[str, AfterValidator(_one_line)]
Command = Annotated[list[str], AfterValidator(_command)]
Environment = Annotated[dict[str, str], AfterValidator(_environment)]
InsidePath = Annotated[str, AfterValidator(_inside)]
Requirement = Annotated[str, AfterValidator(_requirement)]
TargetWords = Annotated[str, AfterValidator(_target)]
VersionWords = Annotated[str, AfterValidator(_version)]
AssetName = Annotated[
    str, matching(r"[a-z0-9][a-z0-9._-]*", "write a name of lower-case letters, digits and . _ -, as 'voice-en'")
]
DebianDependency = Annotated[
    str,
    matching(
        rf"{_DEBIAN_NAME}( \((<<|<=|=|>=|>>) [^\s()]+\))?( \| {_DEBIAN_NAME})*",
        "write a Debian dependency, as 'libgomp1' or 'libgomp1 (>= 12)'",
    ),
]
DebianPackage = Annotated[str, matching(_DEBIAN_NAME, "write the name of a Debian package, as 'libgomp1'")]
Maintainer = Annotated[str, matching(r"[^<>\n]+ <[^<>@\s]+@[^<>@\s]+>", "write 'Name <address@example.org>'")]
Module = Annotated[
    str, matching(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "write a Python module, as 'package' or 'package.module'")
]
Project = Annotated[str, matching(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "write a project's name")]
WebAddress = Annotated[str, matching(r"https?://\S+", "write a web address")]
GroupName = Annotated[str, matching(r"[a-z_][a-z0-9_-]*", "write a group's name")]
AccountName = Annotated[str, matching(r"[a-z_][a-z0-9_-]{0,30}", "write the name of an account, as 'pi'")]
