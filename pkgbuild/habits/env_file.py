"""Reading an `.env` file as text. Nothing in it is ever carried out, and what a shell would carry out is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1_000_000
_ASSIGNMENT = re.compile(
    r"""
    [ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>(?!['"])[^\n]*?))
    (?:[ \t]+\#[^\n]*|[ \t]*)(?:\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_NOTHING = re.compile(r"[ \t]*(?:\#[^\n]*)?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CARRIED_OUT = re.compile(r"[`$]")


class EnvFileError(Exception):
    """The file cannot be used; the text says which line, and what to do."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a name is set to, and where."""

    text: str
    line: int
    would_be_carried_out: bool
    """Whether a shell would put something else in its place."""


def read(path: Path) -> dict[str, Value]:
    """The values of a file; the last of a name counts. Raises ``EnvFileError``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EnvFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise EnvFileError(f"{path} is larger than {MOST_BYTES} bytes: this is no .env file")
    try:
        return parse(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise EnvFileError(f"{path} is not UTF-8 text (byte {error.start})") from error


def parse(text: str, where: str = ".env") -> dict[str, Value]:
    """The values of a text: ``NAME=value``, ``NAME='value'``, ``NAME="value"``, comments. Raises ``EnvFileError``."""
    text, found, at = text.replace("\r\n", "\n"), dict[str, Value](), 0
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        if nothing := _NOTHING.match(text, at):
            at = nothing.end()
            continue
        one = _ASSIGNMENT.match(text, at)
        if one is None:
            raise EnvFileError(f"{where}, line {line}: write NAME=value, or NAME='value' with a quote at each end")
        found[one["name"]] = _value(one, line)
        at = one.end()
    return found


def _value(one: re.Match[str], line: int) -> Value:
    if one["single"] is not None:
        return Value(one["single"], line, would_be_carried_out=False)
    if one["double"] is not None:
        bare = re.sub(r"\\.", "", one["double"], flags=re.DOTALL)
        text = _ESCAPE.sub(lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), one["double"])
        return Value(text, line, _CARRIED_OUT.search(bare) is not None)
    return Value(one["bare"], line, _CARRIED_OUT.search(one["bare"]) is not None)
