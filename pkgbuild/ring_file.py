"""``keys/ring.json``: reading, writing, and what the settings' keys have become since."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.ring import Entry, Keyring, Ring, Role, State

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1


def path(state: Path) -> Path:
    """Where it is, in a builder's state folder."""
    return state / "keys/ring.json"


def load(state: Path) -> Ring | None:
    """The ring; None where the keys were never changed. Raises ``BAD_INPUT`` where it cannot be read."""
    file = path(state)
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        if (schema := body["schema"]) != _SCHEMA:
            raise PkgbuildError(Kind.BAD_INPUT, f"{file} is of schema {schema}: use the pkgbuild that wrote it.")
        entries = {
            role: tuple(Entry(row["fingerprint"], State(row["state"])) for row in body[role.value]) for role in Role
        }
        return Ring(entries, tuple(_keyring(row) for row in body["keyrings"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"{file} cannot be read ({error}): restore it from your backup.") from error


def _keyring(row: dict[str, Any]) -> Keyring:
    keys = {role: dict(row[role.value]) for role in Role}
    return Keyring(row["version"], keys, row["signed_by"], dict(row["channels"]), tuple(row["allowed"]))


def save(state: Path, ring: Ring) -> None:
    """Write it, whole or not at all, and wait for the disk."""
    body = {
        "schema": _SCHEMA,
        **{role.value: [{"fingerprint": e.fingerprint, "state": e.state.value} for e in ring.entries[role]]
           for role in Role},
        "keyrings": [
            {
                "version": keyring.version,
                **{role.value: dict(keyring.keys[role]) for role in Role},
                "signed_by": keyring.signed_by,
                "channels": dict(keyring.channels),
                "allowed": list(keyring.allowed),
            }
            for keyring in ring.keyrings
        ],
    }  # fmt: skip
    file = path(state)
    partial = file.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(body, indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def successor(ring: Ring | None, role: Role, named: str | None) -> str | None:
    """The key that signs now where the settings name ``named``, which may be one before it, or none.

    A key that the ring does not know stays what it is: somebody has put it there.
    """
    if ring is None:
        return named
    ending = (named or "").upper().replace(" ", "")
    if any(entry.fingerprint.endswith(ending) for entry in ring.entries[role]):
        return ring.current(role)
    return named
