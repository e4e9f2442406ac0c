"""The commands of a document: what stands after ``$ `` in its ``console`` blocks, and on which machine it is run.

A comment before a block says where: ``<!-- on: server -->``. Behind it may stand ``as: NAME`` (a part that is walked
when it is asked for, not in order), ``instead of: TEXT`` (the block takes the place of the one command that has TEXT)
and ``before: TEXT`` (it comes before the first command that has TEXT). A block without one is not walked.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_BLOCK = re.compile(r"(?:^<!-- (on: [^>]*?) -->\n)?^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")
_SECRET = re.compile(r"\b(pi[a-z]_)…")
_KEYS = frozenset({"on", "as", "instead of", "before"})


class DocumentError(ValueError):
    """A comment that says nothing, or a block whose place is not to be found."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, with the lines of its here-document."""

    text: str
    host: str | None
    """None where the block says no machine."""
    part: str | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    commands: tuple[Command, ...]
    instead_of: str | None
    before: str | None


def commands(text: str, part: str | None = None) -> list[Command]:
    """The commands that are walked, in order, with those of other blocks put where they belong.

    ``part`` takes the blocks of that name instead. Raises ``DocumentError``.
    """
    found: list[Command] = []
    moved: list[_Block] = []
    for block in _blocks(text):
        if block.instead_of or block.before:
            moved.append(block)
        else:
            found += [command for command in block.commands if command.host and command.part == part]
    for block in moved if part is None else ():
        named = block.instead_of or block.before
        places = [index for index, command in enumerate(found) if str(named) in command.text]
        if not places or (block.instead_of and len(places) > 1):
            raise DocumentError(f"{len(places)} commands have {named!r}, which a block belongs to")
        found[places[0] : places[0] + bool(block.instead_of)] = block.commands
    return found


def every_command(text: str) -> list[Command]:
    """The commands of all blocks, walked or not."""
    return [command for block in _blocks(text) for command in block.commands]


def problems(text: str) -> Iterator[str]:
    """A sentence for each command that no shell can read as it stands there, but for secrets (``pie_…``)."""
    for command in every_command(text):
        done = subprocess.run(["bash", "-n"], input=command.text, capture_output=True, text=True, check=False)
        if done.returncode or "…" in _SECRET.sub("", command.text):
            yield f"no shell can read `{command.text}` {done.stderr.strip()}".strip()


def filled(command: Command, secrets: Sequence[str]) -> Command:
    """With ``pie_…`` as the newest of the ``secrets`` that begins like it. Raises ``DocumentError`` without one."""

    def newest(match: re.Match[str]) -> str:
        fitting = [secret for secret in secrets if secret.startswith(match[1])]
        if not fitting:
            raise DocumentError(f"nothing that was printed begins with {match[1]}")
        return fitting[-1]

    return replace(command, text=_SECRET.sub(newest, command.text))


def _blocks(text: str) -> Iterator[_Block]:
    for given, body in _BLOCK.findall(text):
        words = dict(part.split(": ", 1) for part in re.split(r", (?=as: |instead of: |before: )", given) if part)
        if not set(words) <= _KEYS or not words.get("on", "a").isalpha():
            raise DocumentError(f"<!-- {given} --> says something that is not known")
        made = tuple(Command(one, words.get("on"), words.get("as")) for one in _commands(body.splitlines()))
        yield _Block(made, words.get("instead of"), words.get("before"))


def _commands(lines: Sequence[str]) -> Iterator[str]:
    rest = iter(lines)
    for line in rest:
        if not line.startswith("$ "):
            continue  # what the command before has printed
        taken = [line.removeprefix("$ ")]
        while taken[-1].endswith("\\"):
            taken.append(next(rest))
        if (ends := _HEREDOC.search(taken[-1])) is not None:
            for more in rest:
                taken.append(more)
                if more == ends[1]:
                    break
        yield "\n".join(taken)
