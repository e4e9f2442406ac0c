"""What stands in the documents: their commands, code blocks and names. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
GENERATED = frozenset({ROOT / "docs" / name for name in ("API.md", "COMMANDS.md", "SETTINGS.md", "adr/README.md")})
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
BY_HAND = [path for path in DOCUMENTS if path not in GENERATED]
PROGRAMS = ("pkgbuild", "repo-server", "pi-hook", "make")
_MODULES = {"pkgbuild": "pkgbuild", "repo_server": "repo-server", "pi_hook": "pi-hook"}
_GROUPS = {
    "keys": "pkgbuild",
    **dict.fromkeys(("api-key", "enroll-token", "devices", "updates", "rollout"), "repo-server"),
}
"""Groups of commands, which the prose names without the program."""
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")
_ENDS = {"|", "&&", ";", ">", "<", "2>"}


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: its language, its text without the indentation, and the line where it begins."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """What stands behind the prompts, with its comment taken off."""
        found = [command.replace("\\\n", " ") for command in _PROMPT.findall(self.text)]
        return [re.sub(r"\s+# .*$", "", command).strip() for command in found]


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of one of our programs."""

    program: str
    words: tuple[str, ...]
    whole: bool
    """Whether it stands there to be run; else it may name a part only."""


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def blocks(text: str) -> list[Block]:
    """Every code block."""
    found = []
    for one in _BLOCK.finditer(text):
        indent, language, inside = one.groups()
        lines = [line.removeprefix(indent) for line in inside.splitlines()]
        found.append(Block(language, "\n".join(lines) + "\n", text.count("\n", 0, one.start()) + 1))
    return found


def inline_code(text: str) -> list[str]:
    """What stands in backquotes within the prose."""
    return re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))


def commands(text: str) -> list[Command]:
    """The command lines of our programs, in blocks and in the prose."""
    whole = [line for block in blocks(text) if block.language == "console" for line in block.commands()]
    return [
        *(one for line in whole for one in commands_in(line, whole=True)),
        *(one for line in inline_code(text) for one in commands_in(line, whole=False)),
    ]


def commands_in(line: str, *, whole: bool) -> list[Command]:
    """The commands of our programs in one line of a shell; none where it is no such line."""
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    found: list[Command] = []
    part: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS:
            found += _command(part, whole=whole)
            part = []
        else:
            part.append(word)
    return found


def _command(words: list[str], *, whole: bool) -> list[Command]:
    while words and (words[0] == "sudo" or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    if len(words) >= 3 and words[0].endswith(("python", "python3")) and words[1] == "-m":
        program = _MODULES.get(words[2].partition(".")[0], "") if "." not in words[2] else ""
        return [Command(program, tuple(words[3:]), whole)] if program else []
    if not whole and len(words) > 1 and words[0] in _GROUPS:
        return [Command(_GROUPS[words[0]], tuple(words), whole)]
    return [Command(words[0], tuple(words[1:]), whole)] if words and words[0] in PROGRAMS else []
