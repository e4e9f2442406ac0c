"""What is remembered of the system's upgrades, durably: ``system.json`` beside the agent's other state.

A file of its own, so that what is lost with a damaged one is a count of attempts and no memory of an update.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pi_hook.durable import read_json, set_aside
from pi_hook.errors import BadMessageError
from pi_hook.files import write_atomic
from pi_hook.ports import Step
from pi_hook.reasons import rfc3339
from pi_hook.system import LastRun, Restart, System, Work
from pi_hook.wire import parse_time

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1
_MODE = 0o600


class SystemMemory:
    """The memory and its file. ``keep`` raises ``OSError`` where the disk refuses; nothing has changed then."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "system.json"
        self.system = _load(self._path)

    def keep(self, system: System) -> None:
        """Make it durable; nothing is written where nothing changes."""
        if system != self.system:
            write_atomic(self._path, json.dumps({"schema": _SCHEMA, **_plain(system)}, indent=1) + "\n", _MODE)
            self.system = system


def read_system(path: Path) -> System | None:
    """The memory in a file, without touching anything (``pi-hook status`` without a daemon); None where unusable."""
    try:
        return _system(json.loads(path.read_bytes()))
    except (OSError, KeyError, TypeError, ValueError, BadMessageError):
        return None


def _load(path: Path) -> System:
    body = read_json(path)
    if body is None:
        return System()
    try:
        return _system(body)
    except (KeyError, TypeError, ValueError, BadMessageError) as error:
        set_aside(path, f"{type(error).__name__}: {error}")
        return System()


def _plain(value: Any) -> Any:  # noqa: ANN401  # any value of the memory
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _system(body: dict[str, Any]) -> System:
    if body["schema"] != _SCHEMA:
        raise ValueError(f"schema {body['schema']!r} is not this version's ({_SCHEMA})")
    work, last = body["at_work"], body["last"]
    return System(
        day=None if body["day"] is None else date.fromisoformat(body["day"]),
        attempts=int(body["attempts"]),
        done=body["done"] is True,
        waiting_since=_time(body["waiting_since"]),
        lists_at=_time(body["lists_at"]),
        lists_problem=body["lists_problem"],
        at_work=None if work is None else Work(Step(work["step"]), work["packages"], parse_time(work["begun"], "at")),
        last=None
        if last is None
        else LastRun(parse_time(last["at"], "at"), last["problem"], last["message"], tuple(last["changed"])),
        restarts=tuple(
            Restart(r["cause"], date.fromisoformat(r["day"]), parse_time(r["at"], "at"), r["gone"] is True)
            for r in body["restarts"]
        ),
    )


def _time(value: str | None) -> datetime | None:
    return None if value is None else parse_time(value, "a time")
