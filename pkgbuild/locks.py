"""Locks: the exact third-party wheels of a payload for one target, with their hashes. Pure: text in, values out.

A lock is a pip requirements file with hashes. Its first line says which requirements it was made from, so that a lock
that is no longer theirs is noticed; nothing in it names a package index.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pkgbuild.targets import Target

LAYOUT = 2
"""Part of every deps layer's identity; raised when the same wheels would be laid out otherwise."""

_HEADER = re.compile(r"# pi-ota lock, requirements sha256:([0-9a-f]{64})\b.*")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


class Pin(NamedTuple):
    """One wheel of a lock: any file with one of these hashes is the right one."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lock:
    """A parsed lock."""

    requirements_hash: str | None
    pins: tuple[Pin, ...]
    revoked: tuple[str, ...] = ()
    """Builder keys that were revoked: the same layers get other names, since a published one is never signed anew."""

    def identity(self, target: Target) -> str:
        """HASH12 of the deps layer: over pins, their wheels' hashes and the target, not order and comments."""
        content = {
            "layout": LAYOUT,
            "target": [target.debian, target.python, target.architecture],
            "pins": [[pin.name, pin.version, list(pin.hashes)] for pin in self.pins],
            **({"revoked": sorted(self.revoked)} if self.revoked else {}),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def requirement_lines(text: str, where: str) -> list[str]:
    """The requirements in ``text`` without comments, sorted. Raises ``BAD_INPUT`` for options and local paths."""
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if not line:
            continue
        if line.startswith(("-", ".", "/")):
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{where}, line {number}: {line!r} is no plain requirement; write NAME or NAME==VERSION,"
                " and set a package index in uv's own settings.",
            )
        lines.append(line)
    return sorted(lines)


def requirements_hash(lines: Iterable[str]) -> str:
    """What a lock's first line records of the requirements it was made from."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def header(lines: Iterable[str], target: Target) -> str:
    """The first line of a lock."""
    return f"# pi-ota lock, requirements sha256:{requirements_hash(lines)} for {target}, Python {target.python}\n"


def parse(text: str, where: str) -> Lock:
    """Read a lock. Raises ``BAD_INPUT`` where a requirement is not pinned with hashes."""
    first, _, _ = text.partition("\n")
    found = _HEADER.fullmatch(first.strip())
    pins = []
    for entry in _entries(text):
        pin, hashes = _PIN.match(entry), tuple(sorted(set(_HASH.findall(entry))))
        if pin is None or not hashes:
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{where}: {_without_hashes(entry)!r} is not pinned with hashes; make the lock again"
                " with `pkgbuild lock`, or, one of your own, with `uv pip compile --generate-hashes`.",
            )
        pins.append(Pin(_normalised(pin[1]), pin[2], hashes))
    return Lock(requirements_hash=found[1] if found else None, pins=tuple(sorted(pins)))


def wanted_by(text: str) -> list[str]:
    """The requirements of a lock made elsewhere, with their markers and without their hashes, sorted."""
    return sorted(_without_hashes(entry) for entry in _entries(text))


def restricted(made: Lock, given: Lock, where: str, target: Target) -> str:
    """``made`` for ``target`` as a requirements file, held to what the lock ``given`` by its builder allows.

    Raises ``BAD_INPUT`` for a wheel that it has not, by project, version or hash; ``where`` names it in the error.
    """
    lines = []
    for pin in made.pins:
        allowed = {one for other in given.pins if other[:2] == pin[:2] for one in other.hashes}
        if not allowed:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"{where} has no {pin.name} {pin.version}, which {target} needs: lock it there as well."
            )
        if not (hashes := sorted(allowed & set(pin.hashes))):
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{where}: none of the hashes of {pin.name} {pin.version} is one that the package index has.",
            )
        lines.append(" \\\n".join([f"{pin.name}=={pin.version}", *(f"    --hash={one}" for one in hashes)]) + "\n")
    return "".join(lines)


def _entries(text: str) -> list[str]:
    """The requirements of a file with hashes, each as one line."""
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [entry.strip() for entry in body.replace("\\\n", " ").splitlines() if entry.strip()]


def _without_hashes(entry: str) -> str:
    return entry.split("--hash", maxsplit=1)[0].strip()


def _normalised(name: str) -> str:
    """PEP 503: one spelling of a project's name."""
    return re.sub(r"[-_.]+", "-", name).lower()
