"""What releases proved to be here, kept once more beside ``state.json``: its loss must make no bad version new."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pi_hook.durable import read_json, set_aside
from pi_hook.errors import BadMessageError
from pi_hook.files import write_atomic
from pi_hook.reasons import rfc3339
from pi_hook.update import Bad, Device
from pi_hook.wire import parse_time

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1
_MODE = 0o600
NAME = "verdicts.json"


def write(folder: Path, device: Device) -> None:
    """Keep the last good and the bad versions; nothing is written where they are these already. Raises ``OSError``."""
    content = {"schema": _SCHEMA, "last_good": device.last_good, "bad": [plain_bad(bad) for bad in device.bad]}
    write_atomic(folder / NAME, json.dumps(content, indent=1) + "\n", _MODE)


def read(folder: Path) -> Device:
    """A device that remembers its verdicts and nothing else; one without any where there is no usable file."""
    path = folder / NAME
    body = read_json(path)
    if body is None:
        return Device()
    try:
        return parsed(body)
    except (KeyError, TypeError, ValueError, BadMessageError) as error:
        set_aside(path, f"{type(error).__name__}: {error}")
        return Device()


def last_good(folder: Path) -> str | None:
    """The last good version, without touching anything; None where it is not known."""
    try:
        return parsed(json.loads((folder / NAME).read_bytes())).last_good
    except (OSError, KeyError, TypeError, ValueError, BadMessageError):
        return None


def parsed(body: dict[str, Any]) -> Device:
    """From the file's object."""
    if body["schema"] != _SCHEMA:
        raise ValueError(f"schema {body['schema']!r} is not this version's ({_SCHEMA})")
    good = body["last_good"]
    if good is not None and not isinstance(good, str):
        raise ValueError("last_good is no text")
    return Device(last_good=good, bad=tuple(bad_from(item) for item in body["bad"]))


def plain_bad(bad: Bad) -> dict[str, Any]:
    """One bad version, for a file."""
    return {"version": bad.version, "granted_at": rfc3339(bad.granted_at), "expedited": bad.expedited}


def bad_from(body: dict[str, Any]) -> Bad:
    """Back from ``plain_bad``."""
    return Bad(str(body["version"]), parse_time(body["granted_at"], "granted_at"), body["expedited"] is True)
